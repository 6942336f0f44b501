//! What is the sticker's face drawn on: silhouettes, hair, ears and backgrounds?

use tiny_skia::Path;

use super::look::{Family, Look, Pattern};
use crate::canvas::{Canvas, Rgb, blend, dim};
use crate::geometry::Face;
use crate::pen::{Pen, Pose, at};

/// Fill the canvas behind the sticker
pub(crate) fn background(canvas: &mut Canvas, look: &Look) {
    let side = canvas.side as f32;
    let frame =
        Pose { centre: at(0.5 * side, 0.5 * side), scale: 0.5 * side, tilt: 0.0, turn: 0.0, nod: 0.0 };
    match look.pattern {
        Pattern::Plain => {}
        Pattern::Disc => {
            canvas.fill(&Pen::new(&frame).ellipse(0.0, 0.0, 0.96, 0.96).done(), look.pattern_colour)
        }
        Pattern::Stripes => {
            for i in 0..5 {
                let x = -2.0 + 0.8 * i as f32;
                let band = [(x, -1.0), (x + 0.4, -1.0), (x + 1.4, 1.0), (x + 1.0, 1.0)];
                let colour = blend(look.paper, look.pattern_colour, 0.5);
                canvas.fill(&Pen::new(&frame).polygon(&band).done(), colour);
            }
        }
    }
}

/// Draw the silhouette and what belongs behind the features
pub(crate) fn paint(canvas: &mut Canvas, look: &Look, pose: &Pose, face: &Face) {
    let parts = parts(look, pose, face);
    if look.border {
        for (path, _) in &parts {
            canvas.stroke(path, 0.26 * pose.scale, [1.0; 3]);
        }
    }
    for (path, colour) in &parts {
        if look.outlined {
            canvas.stroke(path, 2.0 * look.line * pose.scale, look.ink);
        }
        canvas.fill(path, *colour);
    }
    marks(canvas, look, pose);
}

/// The filled shapes from back to front
fn parts(look: &Look, pose: &Pose, face: &Face) -> Vec<(Option<Path>, Rgb)> {
    let pen = || Pen::new(pose);
    let jaw = face.jaw;
    match look.family {
        Family::Round => {
            vec![(pen().ellipse(0.0, 0.04 + 0.4 * jaw, 1.12, 1.1 + 0.4 * jaw).done(), look.body)]
        }
        Family::Toon => human(look, pose, jaw),
        Family::Pastel => vec![(mochi(pose, look.variant, jaw), look.body)],
        Family::Animal => animal(look, pose, jaw),
        Family::Ghost => vec![(ghost(pose, look.variant), look.body)],
        Family::Ink => vec![(scrawl(pose, look.variant, jaw), look.body)],
        Family::Pixel => {
            let w = 1.08;
            let cut = [0.2, 0.45][look.variant % 2];
            let (top, low) = (-1.05, 1.08 + 0.3 * jaw);
            let corners = [
                (-w + cut, top),
                (w - cut, top),
                (w, top + cut),
                (w, low - cut),
                (w - cut, low),
                (-w + cut, low),
                (-w, low - cut),
                (-w, top + cut),
            ];
            vec![(pen().polygon(&corners).done(), look.body)]
        }
    }
}

fn human(look: &Look, pose: &Pose, jaw: f32) -> Vec<(Option<Path>, Rgb)> {
    let pen = || Pen::new(pose);
    let girl = look.variant % 2 == 1;
    let mut parts = Vec::new();
    if girl {
        let low = if look.variant % 4 == 1 { 1.15 } else { 0.7 };
        let hair =
            [at(0.0, -1.2), at(0.95, -0.85), at(1.1, 0.0), at(1.02, low), at(0.0, low), at(-1.02, low)];
        let left = [at(-1.1, 0.0), at(-0.95, -0.85)];
        parts.push((pen().ring(&[hair.as_slice(), left.as_slice()].concat()).done(), look.hair));
    }
    for side in [-1.0, 1.0] {
        parts.push((pen().ellipse(side * 0.94, 0.0, 0.15, 0.2).done(), look.body));
    }
    let chin = 1.06 + 0.8 * jaw;
    let head = pen()
        .from(0.0, -1.08)
        .curve((0.75, -1.08), (0.95, -0.6), (0.93, 0.0))
        .curve((0.92, 0.6), (0.5, chin), (0.0, chin))
        .curve((-0.5, chin), (-0.92, 0.6), (-0.93, 0.0))
        .curve((-0.95, -0.6), (-0.75, -1.08), (0.0, -1.08))
        .close();
    parts.push((head.done(), look.body));
    parts.push((fringe(pose, look.variant / 2), look.hair));
    parts
}

/// Hair over the forehead, high enough to leave the brows free
fn fringe(pose: &Pose, kind: usize) -> Option<Path> {
    let pen = Pen::new(pose).from(-0.98, -0.3).curve((-1.05, -0.95), (-0.6, -1.25), (0.0, -1.25));
    let pen = pen.curve((0.6, -1.25), (1.05, -0.95), (0.98, -0.3));
    let pen = match kind % 4 {
        0 => pen.curve((0.85, -0.6), (0.5, -0.85), (0.0, -0.82)).curve(
            (-0.5, -0.85),
            (-0.85, -0.6),
            (-0.98, -0.3),
        ),
        1 => pen
            .line(0.75, -0.75)
            .line(0.45, -0.68)
            .line(0.2, -0.85)
            .line(-0.1, -0.7)
            .line(-0.4, -0.82)
            .line(-0.75, -0.68),
        2 => pen.curve((0.8, -0.75), (0.2, -1.0), (-0.45, -0.78)).curve(
            (-0.7, -0.7),
            (-0.9, -0.5),
            (-0.98, -0.3),
        ),
        _ => pen.curve((0.9, -0.7), (0.5, -0.72), (0.3, -0.92)).curve(
            (0.0, -0.7),
            (-0.8, -0.75),
            (-0.98, -0.3),
        ),
    };
    pen.close().done()
}

fn mochi(pose: &Pose, variant: usize, jaw: f32) -> Option<Path> {
    let (top, low) = ([-0.95, -1.1, -0.85][variant % 3], 1.0 + 0.3 * jaw);
    let wide = [1.12, 1.0, 1.18][variant % 3];
    let ring = [
        at(0.0, top),
        at(0.72 * wide, 0.85 * top),
        at(wide, -0.1),
        at(wide, 0.55),
        at(0.75 * wide, low),
        at(0.0, low + 0.04),
        at(-0.75 * wide, low),
        at(-wide, 0.55),
        at(-wide, -0.1),
        at(-0.72 * wide, 0.85 * top),
    ];
    Pen::new(pose).ring(&ring).done()
}

fn ghost(pose: &Pose, variant: usize) -> Option<Path> {
    let waves = 3 + variant % 2;
    let mut pen = Pen::new(pose).from(-1.0, 1.12).curve((-1.08, 0.3), (-1.15, -1.15), (0.0, -1.15)).curve(
        (1.15, -1.15),
        (1.08, 0.3),
        (1.0, 1.12),
    );
    let step = 2.0 / waves as f32;
    for i in 0..waves {
        let x = 1.0 - step * i as f32;
        pen = pen.curve((x - 0.3 * step, 0.88), (x - 0.7 * step, 0.88), (x - step, 1.12));
    }
    pen.close().done()
}

/// A circle drawn by an unsteady hand
fn scrawl(pose: &Pose, variant: usize, jaw: f32) -> Option<Path> {
    let wobble = |i: usize| 0.05 * ((i * 7 + variant * 5) % 5) as f32 - 0.1;
    let circle: [(f32, f32); 8] = [
        (0.0, -1.0),
        (0.71, -0.71),
        (1.0, 0.0),
        (0.71, 0.71),
        (0.0, 1.0),
        (-0.71, 0.71),
        (-1.0, 0.0),
        (-0.71, -0.71),
    ];
    let ring: Vec<_> = circle
        .iter()
        .enumerate()
        .map(|(i, (x, y))| {
            at(x * (1.08 + 0.6 * wobble(i)), y * (1.08 + 0.4 * wobble(i + 3)) + jaw * y.max(0.0) * 0.6)
        })
        .collect();
    Pen::new(pose).ring(&ring).done()
}

fn animal(look: &Look, pose: &Pose, jaw: f32) -> Vec<(Option<Path>, Rgb)> {
    let pen = || Pen::new(pose);
    let mut parts = Vec::new();
    for s in [-1.0, 1.0] {
        let (outer, inner) = match look.variant % 3 {
            0 => (
                pen().polygon(&[(s * 1.02, -0.3), (s * 0.98, -1.2), (s * 0.3, -0.8)]),
                pen().polygon(&[(s * 0.88, -0.5), (s * 0.88, -1.0), (s * 0.5, -0.75)]),
            ),
            1 => (pen().ellipse(s * 0.82, -0.8, 0.33, 0.33), pen().ellipse(s * 0.83, -0.82, 0.18, 0.18)),
            _ => (pen().ellipse(s * 0.5, -1.0, 0.2, 0.42), pen().ellipse(s * 0.5, -1.0, 0.09, 0.3)),
        };
        parts.push((outer.done(), look.body));
        parts.push((inner.done(), look.accent));
    }
    let low = 1.0 + 0.5 * jaw;
    let head = [
        at(0.0, -0.86),
        at(0.78, -0.68),
        at(1.08, 0.05),
        at(0.85, 0.75),
        at(0.0, low),
        at(-0.85, 0.75),
        at(-1.08, 0.05),
        at(-0.78, -0.68),
    ];
    parts.push((pen().ring(&head).done(), look.body));
    parts
}

/// Flat marks between body and features
fn marks(canvas: &mut Canvas, look: &Look, pose: &Pose) {
    let pen = || Pen::new(pose);
    match look.family {
        Family::Animal => {
            canvas.fill(&pen().ellipse(0.0, 0.55, 0.62, 0.4).done(), look.accent);
            if look.variant % 3 != 1 {
                for s in [-1.0, 1.0] {
                    for lift in [-0.08, 0.06] {
                        let whisker =
                            pen().from(s * 0.72, 0.38 + lift).line(s * 1.15, 0.34 + 2.2 * lift).done();
                        canvas.stroke(&whisker, 0.6 * look.line * pose.scale, look.ink);
                    }
                }
            }
        }
        Family::Round if look.variant.is_multiple_of(3) => {
            let shine = pen().ellipse(-0.62, -0.72, 0.16, 0.1).done();
            canvas.fill(&shine, blend(look.body, [1.0; 3], 0.6));
        }
        Family::Ghost => {
            let fold = pen().from(0.78, 0.9).curve((0.88, 0.5), (0.9, 0.2), (0.9, -0.1)).done();
            canvas.stroke(&fold, look.line * pose.scale, dim(look.body, 0.85));
        }
        _ => {}
    }
}

/// Draw what lies over the features
pub(crate) fn overlay(canvas: &mut Canvas, look: &Look, pose: &Pose) {
    if look.family != Family::Ink || !look.variant.is_multiple_of(3) {
        return;
    }
    for i in 0..4 {
        let x = -0.3 + 0.2 * i as f32;
        let tuft = Pen::new(pose).from(x, -0.98).curve((x + 0.02, -1.1), (x + 0.06, -1.15), (x + 0.12, -1.2));
        canvas.stroke(&tuft.done(), 0.8 * look.line * pose.scale, look.ink);
    }
}
