//! How did sidecars look before? Those of magic `AFKEYS01` (affectflow 0.1 in development) are read still: keys sorted, the
//! row of each, digests of cells, one checksum over all.

use super::sidecar::{self, Damaged};
use crate::digest::Digest;

const MAGIC: &[u8; 8] = b"AFKEYS01";
const HEADER: usize = 24;

/// Whether these bytes are such a sidecar.
pub fn is(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// What the segment's name must end with.
pub fn name(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()[..sidecar::NAME].to_owned()
}

/// The same sidecar in today's form; `segment` are the bytes of its segment.
pub fn upgrade(bytes: &[u8], segment: &[u8]) -> Result<Vec<u8>, Damaged> {
    let wrong = || "its checksum does not match".to_owned();
    let body = bytes.len().checked_sub(32).filter(|&body| body >= HEADER).ok_or_else(wrong)?;
    if blake3::hash(&bytes[..body]).as_bytes() != &bytes[body..] {
        return Err(wrong());
    }
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap_or_default()) as usize;
    let (rows, columns) = (number(8), number(12));
    if body != HEADER + rows * (20 + 16 * columns) {
        return Err(wrong());
    }
    let size = u64::from_le_bytes(bytes[16..24].try_into().unwrap_or_default());
    if size != segment.len() as u64 {
        return Err("its segment's size is not what was written".into());
    }
    let digest = |at: usize| Digest(bytes[at..at + 16].try_into().unwrap_or_default());
    let mut keys = vec![Digest::default(); rows];
    for at in 0..rows {
        let row = number(HEADER + rows * 16 + at * 4);
        *keys.get_mut(row).ok_or_else(wrong)? = digest(HEADER + at * 16);
    }
    let column = |column: usize| {
        (0..rows).map(|row| digest(HEADER + rows * 20 + (column * rows + row) * 16)).collect::<Vec<_>>()
    };
    let digests: Vec<Vec<Digest>> = (0..columns).map(column).collect();
    Ok(sidecar::encode(&keys, &digests, segment.len(), Digest::of(segment)))
}
