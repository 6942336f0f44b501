//! How are brows, eyes, nose, mouth and extras of a sticker drawn: flat colour and outline?

use super::look::{EyeKind, Family, Look};
use crate::canvas::{Canvas, Rgb, blend, hex};
use crate::geometry::{Eye, Face, Mouth, Point};
use crate::pen::{Pen, Pose, at};

/// Draw the expression
pub(crate) fn paint(canvas: &mut Canvas, look: &Look, pose: &Pose, face: &Face) {
    let mut brush = Brush { canvas, look, pose };
    brush.cheeks(face);
    brush.wrinkles(face);
    for eye in &face.eyes {
        brush.eye(eye);
    }
    brush.brows(face);
    brush.nose(face);
    brush.mouth(&face.mouth);
    brush.chin(face);
    brush.drops(face);
}

struct Brush<'a> {
    canvas: &'a mut Canvas,
    look: &'a Look,
    pose: &'a Pose,
}

impl Brush<'_> {
    fn pen(&self) -> Pen<'_> {
        Pen::new(self.pose)
    }

    /// Stroke a path with ink, `width` in line widths
    fn ink(&mut self, path: Option<tiny_skia::Path>, width: f32) {
        let ink = self.look.ink;
        self.line(path, width, ink);
    }

    fn line(&mut self, path: Option<tiny_skia::Path>, width: f32, colour: Rgb) {
        let width = (width * self.look.line * self.pose.scale).max(1.0);
        self.canvas.stroke(&path, width, colour);
    }

    fn brows(&mut self, face: &Face) {
        let hairy = self.look.family == Family::Toon;
        let colour = if hairy { blend(self.look.hair, self.look.ink, 0.65) } else { self.look.ink };
        let width = self.look.brow / self.look.line;
        for brow in &face.brows {
            let path = self.pen().through(&[brow.inner, brow.middle, brow.outer]).done();
            self.line(path, width, colour);
        }
    }

    fn eye(&mut self, eye: &Eye) {
        let (ink, scale) = (self.look.ink, self.pose.scale);
        if eye.upper + eye.lower < 0.07 {
            let (a, b) = corners(eye);
            let arc = self.pen().from(a.x, a.y).arch(a, eye.centre.y - eye.upper, b, 0.3).done();
            self.ink(arc, 1.3);
            return;
        }
        let opening = self.pen_eye(eye);
        let cover = self.canvas.cover(&opening);
        let solid = self.look.eye == EyeKind::Solid;
        self.canvas.tint(&cover, if solid { ink } else { [1.0; 3] }, 1.0);
        let radius = (0.62 * eye.half_width).min(0.9 * (eye.upper + eye.lower).max(0.1));
        let middle = eye.centre.y + 0.3 * (eye.lower - eye.upper);
        let dot = |r: f32, dx: f32, dy: f32| {
            Pen::new(self.pose).ellipse(eye.centre.x + dx, middle + dy, r, r).done()
        };
        let paint = |canvas: &mut Canvas, path, colour| {
            let inside = canvas.cover(&path).within(&cover);
            canvas.tint(&inside, colour, 1.0);
        };
        match self.look.eye {
            EyeKind::White => {
                paint(self.canvas, dot(radius, 0.0, 0.0), self.look.iris);
                paint(self.canvas, dot(0.55 * radius, 0.0, 0.0), ink);
            }
            EyeKind::Dot => paint(self.canvas, dot(0.6 * radius, 0.0, 0.0), ink),
            EyeKind::Solid => {}
        }
        if self.look.eye != EyeKind::Dot {
            paint(self.canvas, dot(0.3 * radius, -0.3 * radius, -0.35 * radius), [1.0; 3]);
        }
        if !solid {
            self.canvas.stroke(&opening, 0.8 * self.look.line * scale, ink);
        }
        let (a, b) = corners(eye);
        let lid = self.pen().from(a.x, a.y).arch(a, eye.centre.y - eye.upper, b, 0.35).done();
        self.ink(lid, 1.3);
    }

    fn pen_eye(&self, eye: &Eye) -> Option<tiny_skia::Path> {
        let (a, b) = corners(eye);
        self.pen()
            .from(a.x, a.y)
            .arch(a, eye.centre.y - eye.upper, b, 0.35)
            .arch(b, eye.centre.y + eye.lower, a, 0.35)
            .close()
            .done()
    }

    fn nose(&mut self, face: &Face) {
        let (tip, w) = (face.nose.tip, face.nose.half_width);
        match self.look.family {
            Family::Animal => {
                let nose = [(-0.9 * w, tip.y - 0.05), (0.9 * w, tip.y - 0.05), (0.0, tip.y + 0.08)];
                let path = self.pen().polygon(&nose).done();
                self.canvas.fill(&path, self.look.ink);
                self.ink(path, 0.6);
            }
            _ if !self.look.nose => {}
            Family::Round => {
                let path = self.pen().from(-0.5 * w, tip.y).arch(
                    at(-0.5 * w, tip.y),
                    tip.y + 0.05,
                    at(0.5 * w, tip.y),
                    0.2,
                );
                self.ink(path.done(), 0.8);
            }
            _ => {
                let path = self.pen().from(0.02, tip.y - 0.16).curve(
                    (0.1, tip.y - 0.04),
                    (0.12, tip.y + 0.03),
                    (-0.06, tip.y + 0.02),
                );
                self.ink(path.done(), 0.9);
            }
        }
    }

    /// Lines of the brow lowerer and of the nose wrinkler
    fn wrinkles(&mut self, face: &Face) {
        if face.furrow > 0.4 {
            let top = 0.5 * (face.brows[0].inner.y + face.brows[1].inner.y) - 0.1;
            for s in [-1.0, 1.0] {
                let path =
                    self.pen().from(s * 0.06, top - 0.08).line(s * 0.045, top + 0.12 * face.furrow).done();
                self.ink(path, 0.7);
            }
        }
        if face.nose.wrinkle > 0.25 {
            let reach = 0.08 + 0.05 * face.nose.wrinkle;
            for row in 0..3 {
                let y = face.nose.tip.y - 0.16 - 0.09 * row as f32;
                let (a, b) = (at(-reach, y + 0.02), at(reach, y + 0.02));
                let path = self.pen().from(a.x, a.y).arch(a, y - 0.05, b, 0.2).done();
                self.ink(path, 0.75);
            }
        }
        if face.folds > 0.45 && face.mouth.upper < self.look.rest.mouth_y {
            for s in [-1.0, 1.0] {
                let path = self.pen().from(s * 0.2, face.nose.tip.y + 0.0).curve(
                    (s * 0.3, face.nose.tip.y + 0.05),
                    (s * 0.42, face.nose.tip.y + 0.16),
                    (s * 0.45, face.nose.tip.y + 0.16 + 0.16 * face.folds),
                );
                self.ink(path.done(), 0.7);
            }
        }
    }

    fn cheeks(&mut self, face: &Face) {
        let rest = &self.look.rest;
        let y = rest.eye_y + 0.36 - 0.08 * face.cheeks;
        for s in [-1.0, 1.0] {
            let x = s * (rest.eye_x + 0.2);
            if self.look.blush {
                let rosy = blend(self.look.body, hex(0xF0607A), 0.45);
                let path = self.pen().ellipse(x, y, 0.15, 0.09).done();
                self.canvas.fill(&path, rosy);
            }
            if face.cheeks > 0.38 {
                let (a, b) = (at(x - 0.2, y - 0.08), at(x + 0.16, y - 0.1));
                let path = self.pen().from(a.x, a.y).arch(a, y - 0.16 - 0.04 * face.cheeks, b, 0.2).done();
                self.ink(path, 0.75);
            }
        }
    }

    fn mouth(&mut self, mouth: &Mouth) {
        let (l, r) = (mouth.left, mouth.right);
        if !mouth.is_open() {
            let path = self.pen().from(l.x, l.y).arch(l, mouth.upper, r, mouth.square).done();
            self.ink(path, 1.35);
            if mouth.lower_lip < 0.5 * self.look.rest.lip {
                self.pressed(mouth);
            }
            return;
        }
        let opening = self
            .pen()
            .from(l.x, l.y)
            .arch(l, mouth.upper, r, mouth.square)
            .arch(r, mouth.lower, l, 0.4 + 0.6 * mouth.square)
            .close()
            .done();
        let cover = self.canvas.cover(&opening);
        let ink_only = self.look.family == Family::Ink;
        self.canvas.tint(&cover, if ink_only { self.look.ink } else { hex(0x5A1822) }, 1.0);
        let tall = mouth.lower - mouth.upper;
        let inside = |canvas: &mut Canvas, path, colour| {
            let part = canvas.cover(&path).within(&cover);
            canvas.tint(&part, colour, 1.0);
        };
        let tongue = if ink_only { [1.0; 3] } else { hex(0xF07A86) };
        if tall > 0.12 {
            let path = self.pen().ellipse(0.0, mouth.lower + 0.03, 0.55 * r.x, 0.4 * tall).done();
            inside(self.canvas, path, tongue);
        }
        let reach = 1.1 * r.x;
        let high = mouth.upper.min(l.y).min(r.y) - 0.1;
        for (shown, from, to) in [
            (mouth.upper_teeth, high, mouth.upper + (0.08 + 0.05 * mouth.square).min(0.45 * tall)),
            (mouth.lower_teeth, mouth.lower - (0.3 * tall).min(0.09), mouth.lower + 0.2),
        ] {
            if shown > 0.25 {
                let path =
                    self.pen().polygon(&[(-reach, from), (reach, from), (reach, to), (-reach, to)]).done();
                inside(self.canvas, path, [1.0; 3]);
            }
        }
        self.canvas.stroke(&opening, 1.1 * self.look.line * self.pose.scale, self.look.ink);
        if mouth.tongue > 0.2 {
            self.tongue(mouth, tongue);
        }
    }

    /// Ticks at the ends of pressed lips
    fn pressed(&mut self, mouth: &Mouth) {
        for corner in [mouth.left, mouth.right] {
            let path = self.pen().from(corner.x, corner.y - 0.07).line(corner.x, corner.y + 0.07).done();
            self.ink(path, 1.0);
        }
    }

    fn tongue(&mut self, mouth: &Mouth, colour: Rgb) {
        let (top, tip) = (mouth.lower - 0.05, mouth.lower + 0.1 + 0.16 * mouth.tongue);
        let path = self
            .pen()
            .from(-0.14, top)
            .curve((-0.15, tip), (-0.1, tip + 0.03), (0.0, tip + 0.03))
            .curve((0.1, tip + 0.03), (0.15, tip), (0.14, top))
            .close()
            .done();
        self.canvas.fill(&path, colour);
        self.ink(path, 0.9);
        let groove = self.pen().from(0.0, top).line(0.0, tip - 0.06).done();
        self.ink(groove, 0.5);
    }

    fn chin(&mut self, face: &Face) {
        if face.chin < 0.28 {
            return;
        }
        let y = face.mouth.lower + 0.19;
        let half = 0.12 + 0.05 * face.chin;
        let (a, b) = (at(-half, y + 0.05), at(half, y + 0.05));
        let path = self.pen().from(a.x, a.y).arch(a, y - 0.05, b, 0.3).done();
        self.ink(path, 0.9);
    }

    fn drops(&mut self, face: &Face) {
        let water = if self.look.family == Family::Ink { [1.0; 3] } else { hex(0x7FD0F5) };
        if face.tears > 0.2 {
            for eye in &face.eyes {
                let size = 0.08 + 0.05 * face.tears;
                let below = at(eye.centre.x * 1.08, eye.centre.y + eye.lower.max(0.0) + 0.18);
                self.drop(below, size, water);
            }
        }
        if face.sweat > 0.2 {
            self.drop(at(0.76, -0.62), 0.1 + 0.05 * face.sweat, water);
        }
    }

    fn drop(&mut self, p: Point, r: f32, colour: Rgb) {
        let path = self
            .pen()
            .from(p.x, p.y - 1.7 * r)
            .curve((p.x + 0.3 * r, p.y - 0.8 * r), (p.x + r, p.y - 0.5 * r), (p.x + r, p.y + 0.2 * r))
            .curve((p.x + r, p.y + 1.3 * r), (p.x - r, p.y + 1.3 * r), (p.x - r, p.y + 0.2 * r))
            .curve((p.x - r, p.y - 0.5 * r), (p.x - 0.3 * r, p.y - 0.8 * r), (p.x, p.y - 1.7 * r))
            .close()
            .done();
        self.canvas.fill(&path, colour);
        self.ink(path, 0.7);
    }
}

/// The left and the right corner of an eye as seen
fn corners(eye: &Eye) -> (Point, Point) {
    let lean = if eye.centre.x > 0.0 { eye.slant } else { -eye.slant };
    (
        at(eye.centre.x - eye.half_width, eye.centre.y - lean),
        at(eye.centre.x + eye.half_width, eye.centre.y + lean),
    )
}
