//! How do face coordinates become paths on the canvas?
//!
//! Face coordinates: the origin between eyes and mouth, x to the right, y down, the chin of a resting face near
//! y = 1. A pose scales, tilts and moves them; turning and nodding slide the features over the head, most at its
//! middle and not at its rim.

use tiny_skia::{Path, PathBuilder};

use crate::geometry::Point;

/// Where the head is on the canvas and how it is held
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pose {
    /// Canvas position of the face's origin, pixels
    pub(crate) centre: Point,
    /// Pixels per face unit
    pub(crate) scale: f32,
    /// Sine of the tilt; small
    pub(crate) tilt: f32,
    /// Turn of the head, face units at its middle
    pub(crate) turn: f32,
    /// Nod of the head, face units at its middle
    pub(crate) nod: f32,
}

impl Pose {
    fn bulge(p: Point) -> f32 {
        (1.0 - 0.8 * (p.x * p.x + 0.8 * p.y * p.y)).max(0.0)
    }

    fn cosine(&self) -> f32 {
        (1.0 - self.tilt * self.tilt).max(0.0).sqrt()
    }

    /// Face to canvas
    pub(crate) fn map(&self, p: Point) -> Point {
        let bulge = Self::bulge(p);
        let (x, y) = (p.x + self.turn * bulge, p.y + self.nod * bulge);
        let (s, c) = (self.tilt, self.cosine());
        Point {
            x: self.centre.x + self.scale * (c * x - s * y),
            y: self.centre.y + self.scale * (s * x + c * y),
        }
    }

    /// Canvas to face, close to the inverse of [`Pose::map`]
    pub(crate) fn unmap(&self, x: f32, y: f32) -> Point {
        let (dx, dy) = ((x - self.centre.x) / self.scale, (y - self.centre.y) / self.scale);
        let (s, c) = (self.tilt, self.cosine());
        let rest = Point { x: c * dx + s * dy, y: c * dy - s * dx };
        let bulge = Self::bulge(rest);
        Point { x: rest.x - self.turn * bulge, y: rest.y - self.nod * bulge }
    }
}

/// Builds one path in face coordinates
pub(crate) struct Pen<'a> {
    pose: &'a Pose,
    path: PathBuilder,
    /// Where the pen is on the canvas
    here: Point,
}

/// The straight pieces of one cubic curve
const CHORDS: usize = 14;

/// Shorthand for a point
pub(crate) fn at(x: f32, y: f32) -> Point {
    Point { x, y }
}

impl<'a> Pen<'a> {
    pub(crate) fn new(pose: &'a Pose) -> Self {
        Self { pose, path: PathBuilder::new(), here: Point::default() }
    }

    pub(crate) fn from(mut self, x: f32, y: f32) -> Self {
        let p = self.pose.map(at(x, y));
        self.path.move_to(p.x, p.y);
        self.here = p;
        self
    }

    pub(crate) fn line(mut self, x: f32, y: f32) -> Self {
        let p = self.pose.map(at(x, y));
        self.path.line_to(p.x, p.y);
        self.here = p;
        self
    }

    /// A cubic curve, as chords: the rasteriser's own curves call functions that differ between platforms
    pub(crate) fn curve(mut self, a: (f32, f32), b: (f32, f32), to: (f32, f32)) -> Self {
        let [a, b, to] = [a, b, to].map(|(x, y)| self.pose.map(at(x, y)));
        let from = self.here;
        for i in 1..=CHORDS {
            let t = i as f32 / CHORDS as f32;
            let u = 1.0 - t;
            let weights = [u * u * u, 3.0 * u * u * t, 3.0 * u * t * t, t * t * t];
            let sum = |pick: fn(Point) -> f32| {
                weights[0] * pick(from) + weights[1] * pick(a) + weights[2] * pick(b) + weights[3] * pick(to)
            };
            self.path.line_to(sum(|p| p.x), sum(|p| p.y));
        }
        self.here = to;
        self
    }

    /// From `from` (where the pen is) to `to`, with the middle of the curve at `peak`; `square` from 0 (round) to 1
    /// pushes the shoulders outwards
    pub(crate) fn arch(self, from: Point, peak: f32, to: Point, square: f32) -> Self {
        let reach = 0.25 - 0.2 * square;
        let control = |end: Point| end.y + (peak - 0.5 * (from.y + to.y)) * 4.0 / 3.0;
        let span = to.x - from.x;
        self.curve((from.x + reach * span, control(from)), (to.x - reach * span, control(to)), (to.x, to.y))
    }

    /// A smooth curve through the points (Catmull and Rom), starting a new contour
    pub(crate) fn through(mut self, points: &[Point]) -> Self {
        let Some(first) = points.first() else { return self };
        self = self.from(first.x, first.y);
        for i in 1..points.len() {
            let (b, c) = (points[i - 1], points[i]);
            let a = if i >= 2 { points[i - 2] } else { b };
            let d = points.get(i + 1).copied().unwrap_or(c);
            self = self.curve(
                (b.x + (c.x - a.x) / 6.0, b.y + (c.y - a.y) / 6.0),
                (c.x - (d.x - b.x) / 6.0, c.y - (d.y - b.y) / 6.0),
                (c.x, c.y),
            );
        }
        self
    }

    /// A closed smooth curve through the points
    pub(crate) fn ring(mut self, points: &[Point]) -> Self {
        let n = points.len();
        if n < 3 {
            return self;
        }
        self = self.from(points[0].x, points[0].y);
        for i in 0..n {
            let [a, b, c, d] = [n - 1, 0, 1, 2].map(|k| points[(i + k) % n]);
            self = self.curve(
                (b.x + (c.x - a.x) / 6.0, b.y + (c.y - a.y) / 6.0),
                (c.x - (d.x - b.x) / 6.0, c.y - (d.y - b.y) / 6.0),
                (c.x, c.y),
            );
        }
        self.close()
    }

    pub(crate) fn ellipse(self, x: f32, y: f32, rx: f32, ry: f32) -> Self {
        let (kx, ky) = (0.5523 * rx, 0.5523 * ry);
        self.from(x + rx, y)
            .curve((x + rx, y + ky), (x + kx, y + ry), (x, y + ry))
            .curve((x - kx, y + ry), (x - rx, y + ky), (x - rx, y))
            .curve((x - rx, y - ky), (x - kx, y - ry), (x, y - ry))
            .curve((x + kx, y - ry), (x + rx, y - ky), (x + rx, y))
            .close()
    }

    pub(crate) fn polygon(mut self, points: &[(f32, f32)]) -> Self {
        for (i, (x, y)) in points.iter().enumerate() {
            self = if i == 0 { self.from(*x, *y) } else { self.line(*x, *y) };
        }
        self.close()
    }

    pub(crate) fn close(mut self) -> Self {
        self.path.close();
        self
    }

    /// The finished path; `None` when there is nothing to draw
    pub(crate) fn done(self) -> Option<Path> {
        self.path.finish()
    }
}
