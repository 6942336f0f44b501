//! How do shapes become pixels?
//!
//! A shape is rasterised to integer coverage within its own bounding box; paint is blended through coverage with
//! plain `f32` arithmetic. Only the coverage comes from tiny-skia, whose rasteriser works in fixed point.

use image::RgbImage;
use tiny_skia::{FillRule, LineCap, LineJoin, Mask, Path, Stroke, Transform};

/// Red, green and blue in 0..=1
pub(crate) type Rgb = [f32; 3];

/// A colour from its usual hexadecimal form
pub(crate) fn hex(code: u32) -> Rgb {
    [16, 8, 0].map(|shift| ((code >> shift) & 255) as f32 / 255.0)
}

/// Interpolate two colours
pub(crate) fn blend(a: Rgb, b: Rgb, t: f32) -> Rgb {
    [0, 1, 2].map(|i| a[i] + (b[i] - a[i]) * t)
}

/// Multiply a colour
pub(crate) fn dim(colour: Rgb, factor: f32) -> Rgb {
    colour.map(|c| c * factor)
}

/// How much of each pixel a shape covers, within a box of the canvas
#[derive(Clone)]
pub(crate) struct Coverage {
    x0: i32,
    y0: i32,
    width: usize,
    height: usize,
    alpha: Vec<u8>,
}

impl Coverage {
    fn at(&self, x: i32, y: i32) -> u8 {
        let (i, j) = (x - self.x0, y - self.y0);
        if i < 0 || j < 0 || i >= self.width as i32 || j >= self.height as i32 {
            return 0;
        }
        self.alpha[j as usize * self.width + i as usize]
    }

    /// What lies in both shapes
    pub(crate) fn within(mut self, clip: &Coverage) -> Self {
        for j in 0..self.height {
            for i in 0..self.width {
                let a = &mut self.alpha[j * self.width + i];
                let b = clip.at(self.x0 + i as i32, self.y0 + j as i32);
                *a = ((u32::from(*a) * u32::from(b) + 127) / 255) as u8;
            }
        }
        self
    }

    /// What lies in this shape and not in `other`
    pub(crate) fn outside(mut self, other: &Coverage) -> Self {
        for j in 0..self.height {
            for i in 0..self.width {
                let a = &mut self.alpha[j * self.width + i];
                let b = 255 - other.at(self.x0 + i as i32, self.y0 + j as i32);
                *a = ((u32::from(*a) * u32::from(b) + 127) / 255) as u8;
            }
        }
        self
    }

    /// Blur by two box passes of `radius` pixels; the box grows accordingly
    pub(crate) fn blurred(self, radius: f32) -> Self {
        let r = radius.round() as usize;
        if r == 0 {
            return self;
        }
        let margin = 2 * r;
        let (width, height) = (self.width + 2 * margin, self.height + 2 * margin);
        let mut alpha = vec![0u8; width * height];
        for j in 0..self.height {
            let to = (j + margin) * width + margin;
            alpha[to..to + self.width].copy_from_slice(&self.alpha[j * self.width..(j + 1) * self.width]);
        }
        let mut line = Vec::new();
        for _ in 0..2 {
            for row in 0..height {
                box_pass(&mut alpha, row * width, 1, width, r, &mut line);
            }
            for column in 0..width {
                box_pass(&mut alpha, column, width, height, r, &mut line);
            }
        }
        Self { x0: self.x0 - margin as i32, y0: self.y0 - margin as i32, width, height, alpha }
    }
}

/// One moving average of width 2r+1 over `count` values from `start` at stride `step`
fn box_pass(data: &mut [u8], start: usize, step: usize, count: usize, r: usize, line: &mut Vec<u8>) {
    line.clear();
    line.extend((0..count).map(|i| data[start + i * step]));
    let span = (2 * r + 1) as u32;
    let mut sum: u32 = line.iter().take(r).map(|v| u32::from(*v)).sum();
    for i in 0..count {
        if let Some(entering) = line.get(i + r) {
            sum += u32::from(*entering);
        }
        if i > r {
            sum -= u32::from(line[i - r - 1]);
        }
        data[start + i * step] = ((sum + span / 2) / span) as u8;
    }
}

/// A square picture in the making
pub(crate) struct Canvas {
    /// Width and height in pixels
    pub(crate) side: usize,
    /// Row by row
    pub(crate) pixels: Vec<Rgb>,
    /// Whether edges are smooth
    pub(crate) smooth: bool,
}

impl Canvas {
    pub(crate) fn new(side: usize, colour: Rgb) -> Self {
        Self { side, pixels: vec![colour; side * side], smooth: true }
    }

    /// The pixels a filled path covers; nothing when it is empty or off the canvas
    pub(crate) fn cover(&self, path: &Option<Path>) -> Coverage {
        path.clone().and_then(|path| self.rasterise(path)).unwrap_or(Coverage {
            x0: 0,
            y0: 0,
            width: 0,
            height: 0,
            alpha: Vec::new(),
        })
    }

    fn rasterise(&self, path: Path) -> Option<Coverage> {
        let (bounds, side) = (path.bounds(), self.side as f32);
        let x0 = bounds.left().floor().clamp(-side, side);
        let y0 = bounds.top().floor().clamp(-side, side);
        let x1 = bounds.right().ceil().clamp(-side, 2.0 * side);
        let y1 = bounds.bottom().ceil().clamp(-side, 2.0 * side);
        let mut mask = Mask::new((x1 - x0 + 1.0) as u32, (y1 - y0 + 1.0) as u32)?;
        mask.fill_path(&path, FillRule::Winding, self.smooth, Transform::from_translate(-x0, -y0));
        let (width, height) = (mask.width() as usize, mask.height() as usize);
        Some(Coverage { x0: x0 as i32, y0: y0 as i32, width, height, alpha: mask.take() })
    }

    /// The pixels a stroke of `width` pixels covers
    pub(crate) fn cover_stroke(&self, path: &Option<Path>, width: f32) -> Coverage {
        let stroke = Stroke {
            width: width.max(0.05),
            line_cap: LineCap::Round,
            line_join: LineJoin::Round,
            ..Stroke::default()
        };
        self.cover(&path.as_ref().and_then(|path| path.stroke(&stroke, 1.0)))
    }

    /// Replace every covered pixel, in proportion to its coverage, by what `paint` makes of it
    pub(crate) fn paint(&mut self, cover: &Coverage, paint: impl Fn(f32, f32, Rgb) -> Rgb) {
        let side = self.side as i32;
        for y in cover.y0.max(0)..(cover.y0 + cover.height as i32).min(side) {
            for x in cover.x0.max(0)..(cover.x0 + cover.width as i32).min(side) {
                let alpha = cover.at(x, y);
                if alpha > 0 {
                    let pixel = &mut self.pixels[(y * side + x) as usize];
                    let wanted = paint(x as f32 + 0.5, y as f32 + 0.5, *pixel);
                    *pixel = blend(*pixel, wanted, f32::from(alpha) / 255.0);
                }
            }
        }
    }

    /// Lay a colour over what is covered
    pub(crate) fn tint(&mut self, cover: &Coverage, colour: Rgb, opacity: f32) {
        self.paint(cover, |_, _, under| blend(under, colour, opacity));
    }

    /// Multiply what is covered by a colour
    pub(crate) fn shade(&mut self, cover: &Coverage, colour: Rgb, opacity: f32) {
        self.paint(cover, |_, _, under| [0, 1, 2].map(|i| under[i] * (1.0 - opacity * (1.0 - colour[i]))));
    }

    /// Fill a path with one colour
    pub(crate) fn fill(&mut self, path: &Option<Path>, colour: Rgb) {
        let cover = self.cover(path);
        self.tint(&cover, colour, 1.0);
    }

    /// Stroke a path with one colour
    pub(crate) fn stroke(&mut self, path: &Option<Path>, width: f32, colour: Rgb) {
        let cover = self.cover_stroke(path, width);
        self.tint(&cover, colour, 1.0);
    }

    /// Average blocks of `factor` by `factor` pixels
    pub(crate) fn shrink(&self, factor: usize) -> Canvas {
        let side = self.side / factor;
        let mut small = Canvas::new(side, [0.0; 3]);
        let share = 1.0 / (factor * factor) as f32;
        for y in 0..side * factor {
            for x in 0..side * factor {
                let from = self.pixels[y * self.side + x];
                let to = &mut small.pixels[(y / factor) * side + x / factor];
                *to = [0, 1, 2].map(|i| to[i] + from[i] * share);
            }
        }
        small
    }

    /// Round to bytes
    pub(crate) fn to_image(&self) -> RgbImage {
        let side = self.side as u32;
        RgbImage::from_fn(side, side, |x, y| {
            let pixel = self.pixels[(y * side + x) as usize];
            image::Rgb(pixel.map(|c| (c.clamp(0.0, 1.0) * 255.0 + 0.5) as u8))
        })
    }
}
