//! Which rows does a segment hold, and what must their values be? The file `.keys` beside it: keys in row order, an index
//! to find them by, the digest of every cell, all of it checksummed in blocks that are checked when first touched. Opening
//! one reads a few pages, however many rows it has, and all of it can be made again from the segment.
//!
//! Little-endian:
//!
//! ```text
//! header     magic `AFKEYS02`, rows u32, columns u32, size of the segment u64, its digest (16), directory bits u32, zeros to 64
//! keys       16 bytes a row
//! index      (first 4 bytes of the key as a number, row), u32 each, sorted
//! directory  2^bits + 1 × u32: where in the index the keys begin whose first `bits` bits are 0, 1, …
//! digests    column after column, 16 bytes a row
//! checksums  16 bytes for each 64 KiB of all before
//! root       16 bytes: digest of header and checksums; the segment's name ends with its first digits
//! ```

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::format1;
use crate::digest::Digest;
use crate::parallel;

const MAGIC: &[u8; 8] = b"AFKEYS02";
const HEADER: usize = 64;
const BLOCK: usize = 1 << 16;
/// Rows a directory entry stands for, about.
const BUCKET: usize = 8;

/// Digits of a sidecar's root in the name of its segment.
pub const NAME: usize = 12;

/// A sidecar in memory or mapped.
pub struct Sidecar {
    bytes: Bytes,
    rows: usize,
    columns: usize,
    bits: u32,
    checked: Vec<AtomicBool>,
}

/// What is wrong with a sidecar.
pub type Damaged = String;

/// Encodes a sidecar: keys, digests by column, and size and digest of the segment.
pub fn encode(keys: &[Digest], digests: &[Vec<Digest>], size: usize, digest: Digest) -> Vec<u8> {
    let layout = Layout::new(keys.len(), digests.len(), bits(keys.len()));
    let mut out = Vec::with_capacity(layout.end());
    out.extend(MAGIC);
    out.extend((keys.len() as u32).to_le_bytes());
    out.extend((digests.len() as u32).to_le_bytes());
    out.extend((size as u64).to_le_bytes());
    out.extend(digest.0);
    out.extend(layout.bits.to_le_bytes());
    out.resize(HEADER, 0);
    keys.iter().for_each(|key| out.extend(key.0));
    let mut index: Vec<u64> =
        keys.iter().enumerate().map(|(row, key)| (tag(key) as u64) << 32 | row as u64).collect();
    index.sort_unstable();
    for entry in &index {
        out.extend(((entry >> 32) as u32).to_le_bytes());
        out.extend((*entry as u32).to_le_bytes());
    }
    let mut at = 0;
    for bucket in 0..1u64 << layout.bits {
        while at < index.len() && (index[at] >> 32) << layout.bits >> 32 < bucket {
            at += 1;
        }
        out.extend((at as u32).to_le_bytes());
    }
    out.extend((keys.len() as u32).to_le_bytes());
    digests.iter().flatten().for_each(|digest| out.extend(digest.0));
    let block = |at: usize| Digest::of(&out[at * BLOCK..out.len().min((at + 1) * BLOCK)]);
    let checksums = parallel::map(out.len().div_ceil(BLOCK), out.len(), block);
    checksums.iter().for_each(|checksum| out.extend(checksum.0));
    let root = root(&out[..HEADER], &out[layout.checksums()..]);
    out.extend(root.0);
    out
}

impl Sidecar {
    /// Wraps the bytes of a sidecar, checking what says where everything lies.
    pub fn open(bytes: Bytes, columns: usize) -> Result<Self, Damaged> {
        if bytes.len() < HEADER + 16 || &bytes[..8] != MAGIC {
            return Err("not a sidecar of this version".into());
        }
        let (rows, found, bits) =
            (read_u32(&bytes, 8) as usize, read_u32(&bytes, 12) as usize, read_u32(&bytes, 40));
        if bits > 30 || Layout::new(rows, found, bits).end() != bytes.len() {
            return Err("its length is not that of its rows".into());
        }
        let layout = Layout::new(rows, found, bits);
        let end = bytes.len() - 16;
        if root(&bytes[..HEADER], &bytes[layout.checksums()..end]).0 != bytes[end..] {
            return Err("its checksum does not match".into());
        }
        if found != columns {
            return Err("it belongs to other columns".into());
        }
        let checked = (0..layout.blocks()).map(|_| AtomicBool::new(false)).collect();
        Ok(Sidecar { bytes, rows, columns, bits, checked })
    }

    /// Opens the sidecar of a segment whose columns are not known; `segment` are the segment's bytes.
    pub fn open_any(bytes: Bytes, segment: &[u8]) -> Result<Self, Damaged> {
        if format1::is(&bytes) {
            return Self::open_any(format1::upgrade(&bytes, segment)?.into(), segment);
        }
        let columns = if bytes.len() < HEADER { 0 } else { read_u32(&bytes, 12) as usize };
        Self::open(bytes, columns)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Size that the segment must have.
    pub fn segment_size(&self) -> u64 {
        u64::from_le_bytes(self.bytes[16..24].try_into().unwrap_or_default())
    }

    /// Digest of the segment's bytes.
    pub fn segment_digest(&self) -> Digest {
        Digest(self.bytes[24..40].try_into().unwrap_or_default())
    }

    /// The row of each key. They are asked for together, step by step, so that memory is waited for by many at a time.
    pub fn find(&self, keys: &[Digest]) -> Result<Vec<Option<u32>>, Damaged> {
        if self.rows == 0 {
            return Ok(vec![None; keys.len()]);
        }
        let buckets = keys.iter().map(|key| self.bucket(tag(key))).collect::<Result<Vec<_>, _>>()?;
        let alike = keys.iter().zip(buckets).map(|(key, bucket)| self.alike(tag(key), bucket));
        let alike = alike.collect::<Result<Vec<_>, _>>()?;
        keys.iter().zip(alike).map(|(key, alike)| self.among(key, alike)).collect()
    }

    /// Where in the file the index entries lie among which those of a tag are.
    fn bucket(&self, tag: u32) -> Result<Range<usize>, Damaged> {
        let layout = self.layout();
        let directory = layout.directory() + ((tag as u64) << self.bits >> 32) as usize * 4;
        self.check(directory..directory + 8)?;
        let (low, high) = (read_u32(&self.bytes, directory), read_u32(&self.bytes, directory + 4));
        Ok(layout.index() + low as usize * 8..layout.index() + high as usize * 8)
    }

    /// Where those of the tag itself lie.
    fn alike(&self, tag: u32, bucket: Range<usize>) -> Result<Range<usize>, Damaged> {
        self.check(bucket.clone())?;
        let entries = &self.bytes[bucket.clone()];
        let tags = || entries.chunks_exact(8).map(|entry| read_u32(entry, 0));
        // Buckets are small, and counting has no branch to guess wrong.
        let first = tags().map(|found| usize::from(found < tag)).sum::<usize>();
        let count = tags().map(|found| usize::from(found == tag)).sum::<usize>();
        let start = bucket.start + first * 8;
        Ok(start..start + count * 8)
    }

    fn among(&self, key: &Digest, entries: Range<usize>) -> Result<Option<u32>, Damaged> {
        for entry in self.bytes[entries].chunks_exact(8) {
            let row = read_u32(entry, 4);
            if self.key(row)? == *key {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// The key of a row.
    pub fn key(&self, row: u32) -> Result<Digest, Damaged> {
        self.digest_at(HEADER + row as usize * 16)
    }

    /// Digest of a cell.
    pub fn digest(&self, column: usize, row: u32) -> Result<Digest, Damaged> {
        debug_assert!(column < self.columns && (row as usize) < self.rows);
        self.digest_at(self.layout().digests() + (column * self.rows + row as usize) * 16)
    }

    /// Checks all of it.
    pub fn check_all(&self) -> Result<(), Damaged> {
        let check = |block: usize| self.check(block * BLOCK..block * BLOCK + 1);
        parallel::map(self.checked.len(), self.bytes.len(), check).into_iter().collect()
    }

    fn digest_at(&self, at: usize) -> Result<Digest, Damaged> {
        self.check(at..at + 16)?;
        Ok(Digest(self.bytes[at..at + 16].try_into().unwrap_or_default()))
    }

    fn check(&self, range: Range<usize>) -> Result<(), Damaged> {
        for block in range.start / BLOCK..range.end.div_ceil(BLOCK) {
            if !self.checked[block].load(Ordering::Relaxed) {
                self.check_block(block)?;
            }
        }
        Ok(())
    }

    #[cold]
    fn check_block(&self, block: usize) -> Result<(), Damaged> {
        let checksums = self.layout().checksums();
        let body = &self.bytes[block * BLOCK..checksums.min((block + 1) * BLOCK)];
        let at = checksums + block * 16;
        if Digest::of(body).0 != self.bytes[at..at + 16] {
            return Err("a part of it does not match its checksum".into());
        }
        self.checked[block].store(true, Ordering::Relaxed);
        Ok(())
    }

    fn layout(&self) -> Layout {
        Layout::new(self.rows, self.columns, self.bits)
    }
}

/// Rows that a sidecar of any version says it has.
pub fn rows_of(sidecar: &[u8]) -> u64 {
    if sidecar.len() < 12 { 0 } else { read_u32(sidecar, 8).into() }
}

/// What the name of the segment that these bytes belong to must end with.
pub fn name_of(sidecar: &[u8]) -> String {
    if sidecar.len() < 16 {
        return String::new();
    }
    if format1::is(sidecar) {
        return format1::name(sidecar);
    }
    let root = sidecar[sidecar.len() - 16..].try_into().unwrap_or_default();
    Digest(root).to_string()[..NAME].to_owned()
}

/// Where the parts begin.
#[derive(Clone, Copy)]
struct Layout {
    rows: usize,
    columns: usize,
    bits: u32,
}

impl Layout {
    fn new(rows: usize, columns: usize, bits: u32) -> Self {
        Layout { rows, columns, bits }
    }

    fn index(self) -> usize {
        HEADER + self.rows * 16
    }

    fn directory(self) -> usize {
        self.index() + self.rows * 8
    }

    fn digests(self) -> usize {
        self.directory() + ((1 << self.bits) + 1) * 4
    }

    fn checksums(self) -> usize {
        self.digests() + self.rows * self.columns * 16
    }

    fn blocks(self) -> usize {
        self.checksums().div_ceil(BLOCK)
    }

    fn end(self) -> usize {
        self.checksums() + self.blocks() * 16 + 16
    }
}

fn root(header: &[u8], checksums: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(header).update(checksums);
    Digest::from_hash(hasher.finalize())
}

fn bits(rows: usize) -> u32 {
    (rows / BUCKET).checked_ilog2().unwrap_or(0)
}

fn tag(key: &Digest) -> u32 {
    u32::from_be_bytes([key.0[0], key.0[1], key.0[2], key.0[3]])
}

#[inline]
fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(count: u32) -> Vec<Digest> {
        (0..count).map(|i| Digest::of(&i.to_le_bytes())).collect()
    }

    #[test]
    fn every_key_is_found_in_its_row_and_no_other() {
        for count in [0, 1, 2, 31, 32, 33, 1000, 70_000] {
            let keys = keys(count);
            let digests = vec![keys.iter().rev().copied().collect::<Vec<_>>()];
            let bytes = encode(&keys, &digests, 7, Digest::of(b"segment"));
            let sidecar = Sidecar::open(bytes.into(), 1).unwrap();
            assert_eq!((sidecar.rows(), sidecar.segment_size()), (count as usize, 7));
            assert_eq!(sidecar.segment_digest(), Digest::of(b"segment"));
            assert_eq!(sidecar.find(&keys).unwrap(), (0..count).map(Some).collect::<Vec<_>>());
            for (row, key) in keys.iter().enumerate() {
                assert_eq!(sidecar.key(row as u32).unwrap(), *key);
                assert_eq!(sidecar.digest(0, row as u32).unwrap(), digests[0][row]);
            }
            let others: Vec<Digest> =
                (count..count + 50).map(|other| Digest::of(&other.to_le_bytes())).collect();
            assert_eq!(sidecar.find(&others).unwrap(), [None; 50]);
            sidecar.check_all().unwrap();
        }
    }

    #[test]
    fn keys_with_equal_beginnings_are_told_apart() {
        let mut keys = keys(100);
        keys.iter_mut().enumerate().for_each(|(at, key)| key.0[..8].fill((at % 3) as u8));
        let sidecar = Sidecar::open(encode(&keys, &[], 0, Digest::default()).into(), 0).unwrap();
        assert_eq!(sidecar.find(&keys).unwrap(), (0..100).map(Some).collect::<Vec<_>>());
    }

    #[test]
    fn one_flipped_bit_anywhere_is_found() {
        let keys = keys(3000);
        let bytes = encode(&keys, std::slice::from_ref(&keys), 7, Digest::default());
        for at in (0..bytes.len()).step_by(37).chain([bytes.len() - 1]) {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            let whole = Sidecar::open(bytes.into(), 1).and_then(|sidecar| sidecar.check_all());
            assert!(whole.is_err(), "the flip at {at} went unseen");
        }
    }
}
