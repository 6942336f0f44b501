//! How is texture drawn that is the same on every machine?
//!
//! Value noise on an integer lattice: corners are hashed, cells are interpolated with a smooth step.

/// A well mixed 32-bit hash of a lattice point
pub(crate) fn hash(x: i32, y: i32, seed: u32) -> u32 {
    let mut h = seed ^ (x as u32).wrapping_mul(0x9E37_79B1) ^ (y as u32).wrapping_mul(0x85EB_CA77);
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
    h ^ (h >> 15)
}

fn corner(x: i32, y: i32, seed: u32) -> f32 {
    (hash(x, y, seed) >> 8) as f32 / 8_388_608.0 - 1.0
}

/// Smooth noise in [-1, 1] with one feature per unit of `x` and `y`
pub(crate) fn value(x: f32, y: f32, seed: u32) -> f32 {
    let (x0, y0) = (x.floor(), y.floor());
    let (i, j) = (x0 as i32, y0 as i32);
    let (u, v) = (ease(x - x0), ease(y - y0));
    let top = mix(corner(i, j, seed), corner(i + 1, j, seed), u);
    let bottom = mix(corner(i, j + 1, seed), corner(i + 1, j + 1, seed), u);
    mix(top, bottom, v)
}

/// Two octaves of [`value`]
pub(crate) fn cloud(x: f32, y: f32, seed: u32) -> f32 {
    0.65 * value(x, y, seed) + 0.35 * value(2.1 * x, 2.1 * y, seed ^ 0x51ED)
}

/// Linear interpolation
pub(crate) fn mix(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

/// Cubic smooth step of a value in [0, 1]
pub(crate) fn ease(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

/// 0 below `low`, 1 above `high`, smooth between
pub(crate) fn step(low: f32, high: f32, x: f32) -> f32 {
    ease(((x - low) / (high - low)).clamp(0.0, 1.0))
}
