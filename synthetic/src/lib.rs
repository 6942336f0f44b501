//! The seeded generator of synthetic portraits and stickers, driven by facial action units
