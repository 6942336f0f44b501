//! How does light fall on the head and on what the muscles make of it?
//!
//! The face is a relief over its own plane: an ellipsoid with bumps for bone and flesh and valleys for folds. Normals
//! come from differences of the relief; shading is Lambert's law with an ambient term and a small highlight.

use super::Sitting;
use crate::canvas::{Canvas, Coverage, blend};
use crate::geometry::{Face, Point};
use crate::noise::{cloud, value};
use crate::pen::Pen;

/// The outline of the head
pub(crate) fn outline(s: &Sitting) -> Option<tiny_skia::Path> {
    let (w, chin) = (s.look.width, 1.02 + s.face.jaw);
    let jaw = w * (0.6 - 0.2 * s.look.taper);
    Pen::new(&s.pose)
        .from(0.0, -1.06)
        .curve((0.62 * w, -1.08), (w, -0.75), (w, -0.2))
        .curve((w, 0.22), (0.96 * w, 0.42), (0.86 * w, 0.62))
        .curve((0.76 * w, 0.82), (jaw, chin), (0.0, chin))
        .curve((-jaw, chin), (-0.76 * w, 0.82), (-0.86 * w, 0.62))
        .curve((-0.96 * w, 0.42), (-w, 0.22), (-w, -0.2))
        .curve((-w, -0.75), (-0.62 * w, -1.08), (0.0, -1.06))
        .close()
        .done()
}

/// Paint ears and head; returns what the head covers
pub(crate) fn paint(canvas: &mut Canvas, s: &Sitting) -> Coverage {
    let head = canvas.cover(&outline(s));
    let shadow = head.clone().blurred(s.px(0.07));
    canvas.shade(&shadow, [0.55, 0.5, 0.5], 0.5);
    ears(canvas, s);
    let side = canvas.side;
    let relief: Vec<f32> = (0..side * side)
        .map(|i| height(s.pose.unmap((i % side) as f32 + 0.5, (i / side) as f32 + 0.5), s))
        .collect();
    let at = |x: usize, y: usize| relief[y.min(side - 1) * side + x.min(side - 1)];
    canvas.paint(&head, |x, y, _| {
        let (i, j) = (x as usize, y as usize);
        let slope = 0.5 * s.pose.scale;
        let dx = (at(i + 1, j) - at(i.saturating_sub(1), j)) * slope;
        let dy = (at(i, j + 1) - at(i, j.saturating_sub(1))) * slope;
        lit(s, s.pose.unmap(x, y), dx, dy)
    });
    head
}

/// The colour of skin at `p` where the relief rises by `dx` and `dy` per face unit
fn lit(s: &Sitting, p: Point, dx: f32, dy: f32) -> [f32; 3] {
    let look = s.look;
    let length = (dx * dx + dy * dy + 1.0).sqrt();
    let normal = [-dx / length, -dy / length, 1.0 / length];
    let [lx, ly, lz] = look.light;
    let facing = normal[0] * lx + normal[1] * ly + normal[2] * lz;
    let diffuse = ((facing + 0.15) / 1.15).max(0.0);
    let shade = look.ambient + (1.05 - look.ambient) * diffuse;
    let half = ((lz + 1.0) * 0.5).sqrt();
    let glint = ((normal[0] * lx + normal[1] * ly + normal[2] * (lz + 1.0)) / (2.0 * half)).max(0.0);
    let glint = glint * glint * glint * glint;
    let glint = 0.16 * glint * glint * glint * glint;
    let mottle = 1.0
        + 0.03 * cloud(9.0 * p.x, 9.0 * p.y, s.grain)
        + (0.02 + 0.03 * look.age) * value(34.0 * p.x, 34.0 * p.y, s.grain ^ 0x5A5A);
    let flush = 0.16 * bump(p.x.abs() - 0.44, p.y - 0.2, 0.32, 0.28)
        + 0.14 * bump(p.x, p.y - s.face.nose.tip.y, 0.15, 0.16);
    let skin = blend(look.skin, [look.skin[0], look.skin[1] * 0.72, look.skin[2] * 0.68], flush * 2.0);
    // Light scattered under the skin keeps shadows warm.
    let warm = [1.0, 0.94 + 0.06 * diffuse.min(1.0), 0.91 + 0.09 * diffuse.min(1.0)];
    [0, 1, 2].map(|i| skin[i] * shade * mottle * warm[i] * look.lamp[i] + glint * look.lamp[i])
}

fn ears(canvas: &mut Canvas, s: &Sitting) {
    for side in [-1.0, 1.0] {
        let w = 0.99 * side * s.look.width;
        let ear = canvas.cover(&Pen::new(&s.pose).ellipse(w, 0.02, 0.08, 0.18).done());
        let bright = (0.72 + 0.35 * side * s.look.light[0]).clamp(0.4, 1.0);
        let inner = canvas.cover(&Pen::new(&s.pose).ellipse(w, 0.03, 0.05, 0.12).done());
        canvas.tint(&ear, s.look.skin.map(|c| c * bright), 1.0);
        canvas.shade(&inner, [0.7, 0.55, 0.5], 0.8);
    }
}

/// 1 at the origin, 0 on and beyond the ellipse of radii `rx` and `ry`, smooth
fn bump(x: f32, y: f32, rx: f32, ry: f32) -> f32 {
    let d = (x * x) / (rx * rx) + (y * y) / (ry * ry);
    if d < 1.0 { (1.0 - d) * (1.0 - d) } else { 0.0 }
}

/// 1 on the segment from `a` to `b`, 0 at distance `reach`
fn ridge(p: Point, a: (f32, f32), b: (f32, f32), reach: f32) -> f32 {
    let (vx, vy) = (b.0 - a.0, b.1 - a.1);
    let along = (((p.x - a.0) * vx + (p.y - a.1) * vy) / (vx * vx + vy * vy)).clamp(0.0, 1.0);
    bump(p.x - a.0 - along * vx, p.y - a.1 - along * vy, reach, reach)
}

/// The relief at a point of the face
fn height(p: Point, s: &Sitting) -> f32 {
    let rim = (p.x / (s.look.width + 0.06)) * (p.x / (s.look.width + 0.06))
        + ((p.y - 0.02) / 1.14) * ((p.y - 0.02) / 1.14);
    if rim > 1.4 {
        return 0.0;
    }
    0.72 * (1.0 - rim).max(0.015).sqrt() + bone(p, s) + flesh(Point { x: p.x.abs(), y: p.y }, &s.face, s)
}

fn bone(p: Point, s: &Sitting) -> f32 {
    let (rest, nose) = (&s.look.rest, &s.face.nose);
    let x = p.x.abs();
    0.09 * bump(p.x, p.y - nose.tip.y + 0.24, 0.16, 0.42)
        + 0.12 * bump(p.x, p.y - nose.tip.y, 0.16, 0.15)
        + 0.07 * bump(x - nose.half_width, p.y - nose.tip.y - 0.02, 0.09, 0.08)
        - 0.08 * bump(x - rest.eye_x, p.y - rest.eye_y, 0.29, 0.2)
        + 0.04 * bump(x - 0.3, p.y - rest.brow_y - 0.03, 0.34, 0.13)
        + 0.05 * bump(p.x, p.y - 0.93 - s.face.jaw, 0.26, 0.17)
        + 0.04 * bump(p.x, p.y - rest.mouth_y, 0.42, 0.26)
        - 0.03 * bump(p.x, p.y - nose.tip.y - 0.17, 0.05, 0.1)
}

/// What the muscles do; `p.x` is the distance from the midline
fn flesh(p: Point, face: &Face, s: &Sitting) -> f32 {
    let rest = &s.look.rest;
    let depth = 0.6 + 0.4 * s.look.age;
    let corner = face.mouth.right;
    let mut h = (0.05 + 0.09 * face.cheeks) * bump(p.x - 0.46, p.y - 0.22 + 0.08 * face.cheeks, 0.3, 0.26);
    if p.y > 0.0 && p.y < 1.1 {
        let fold = 0.25 * s.look.age + face.folds;
        let (from, to) =
            ((face.nose.half_width + 0.03, face.nose.tip.y - 0.04), (corner.x + 0.1, corner.y - 0.02));
        h -= 0.045 * depth * fold * ridge(p, from, to, 0.08);
        h += 0.05 * face.chin * bump(p.x, p.y - 0.88, 0.17, 0.12);
        h -= 0.05 * face.chin * bump(p.x, p.y - face.mouth.lower - 0.16, 0.24, 0.05);
    } else if p.y < -0.45 {
        for row in 0..3 {
            let y = rest.brow_y - 0.17 - 0.1 * row as f32 - 0.06 * face.forehead;
            h -= 0.02 * depth * face.forehead * bump(p.x, p.y - y - 0.05 * p.x * p.x, 0.5, 0.035);
        }
    }
    if p.x < 0.25 {
        h -= 0.05
            * depth
            * face.furrow
            * ridge(p, (0.055, rest.brow_y - 0.12), (0.045, rest.brow_y + 0.12), 0.05);
        for row in 0..3 {
            let y = face.nose.tip.y - 0.18 - 0.085 * row as f32;
            h -= 0.045 * face.nose.wrinkle * ridge(p, (0.0, y - 0.03), (0.16, y + 0.05), 0.034);
        }
    }
    h
}
