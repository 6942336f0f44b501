//! Does a panic that is caught and told print anything by itself?

mod common;
mod moody;

use std::panic::set_hook;
use std::sync::atomic::{AtomicUsize, Ordering};

use affectflow_pipeline::cache::segment::Segment;
use moody::{World, quarantined};

static TOLD: AtomicUsize = AtomicUsize::new(0);

#[test]
fn only_a_panic_that_nobody_catches_is_printed() {
    set_hook(Box::new(|_| {
        TOLD.fetch_add(1, Ordering::Relaxed);
    }));
    let world = World::new("map");
    let record = world.go(&["a=one", "b=panic:9"]);
    assert!(quarantined(&record)[0].starts_with("b: internal error: boom"), "{:?}", quarantined(&record));
    for length in 0..64 {
        let mut bytes = b"PAR1 what follows is no Parquet ".repeat(3)[..length].to_vec();
        bytes.extend([length as u8, 0, 0, 0]);
        bytes.extend(b"PAR1");
        assert!(Segment::new(bytes.into()).fields().is_err());
    }
    assert_eq!(TOLD.load(Ordering::Relaxed), 0);
    assert!(std::thread::spawn(|| panic!("a bug")).join().is_err());
    assert_eq!(TOLD.load(Ordering::Relaxed), 1);
}
