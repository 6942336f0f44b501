//! What has one stage computed so far? The segments of one identity: look-ups by key, reads by place, commits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, RwLock};

use arrow::array::{ArrayRef, new_empty_array};
use arrow::compute::interleave;
use arrow::datatypes::FieldRef;

use super::Cache;
use super::segment::{Rows, Segment, Sidecar, encode};
use crate::batch::Column;
use crate::digest::{Digest, cells};
use crate::error::Error;

/// Where a row lies: segment and row within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    segment: u32,
    row: u32,
}

/// The stored rows of one identity (or of one result of a table stage).
pub struct Entries {
    cache: Arc<Cache>,
    folder: String,
    fields: Vec<FieldRef>,
    segments: RwLock<Vec<Arc<Stored>>>,
    sequence: AtomicU32,
}

struct Stored {
    name: String,
    sidecar: Sidecar,
    segment: std::sync::OnceLock<Segment>,
}

impl Entries {
    /// Opens the segments in a folder: all of them, or those named. Damaged files are moved aside and reported as warnings.
    pub fn open(
        cache: Arc<Cache>,
        folder: String,
        fields: Vec<FieldRef>,
        only: Option<&[String]>,
    ) -> Result<Self, Error> {
        let listed = cache.list(&folder)?;
        let sizes: HashMap<&str, u64> = listed.iter().map(|item| (item.name.as_str(), item.size)).collect();
        let mut segments = Vec::new();
        for item in listed.iter().filter(|item| item.name.ends_with(".parquet")) {
            let name = item.name.trim_end_matches(".parquet");
            if only.is_some_and(|only| !only.iter().any(|n| n == name)) {
                continue;
            }
            let has_sidecar = sizes.contains_key(format!("{name}.keys").as_str());
            if let Some(sidecar) = open_sidecar(&cache, &folder, name, item.size, has_sidecar, &fields)? {
                segments.push(Arc::new(Stored {
                    name: name.to_owned(),
                    sidecar,
                    segment: Default::default(),
                }));
            }
        }
        Ok(Entries { cache, folder, fields, segments: RwLock::new(segments), sequence: AtomicU32::new(0) })
    }

    /// The fields stored.
    pub fn fields(&self) -> &[FieldRef] {
        &self.fields
    }

    /// Where they lie, relative to the cache.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// Names of the segments, oldest first.
    pub fn names(&self) -> Vec<String> {
        self.segments().iter().map(|s| s.name.clone()).collect()
    }

    /// The newest place of each key.
    pub fn find(&self, keys: &[Digest]) -> Vec<Option<Place>> {
        let segments = self.segments();
        let newest = || segments.iter().enumerate().rev();
        let find = |key| {
            newest().find_map(|(s, stored)| Some(Place { segment: s as u32, row: stored.sidecar.find(key)? }))
        };
        keys.iter().map(find).collect()
    }

    /// Digest of every cell of a column at the given places.
    pub fn digests(&self, column: usize, places: &[Place]) -> Arc<[Digest]> {
        let segments = self.segments();
        places
            .iter()
            .map(|place| segments[place.segment as usize].sidecar.digest(column, place.row))
            .collect()
    }

    /// The stage's own columns at the given places, as a light batch carries them.
    pub fn columns(self: &Arc<Self>, places: &Arc<[Place]>) -> Vec<(&str, Column)> {
        let column = |column: usize| {
            let digests = self.digests(column, places);
            Column::Stored(crate::batch::Stored {
                entries: self.clone(),
                column,
                digests,
                places: places.clone(),
            })
        };
        self.fields.iter().enumerate().map(|(at, field)| (field.name().as_str(), column(at))).collect()
    }

    /// Writes rows as one segment and makes them durable; their places are those of [`find`](Self::find) from then on.
    /// Returns the name of the segment and its size.
    pub fn commit(&self, rows: &Rows) -> Result<(String, u64), Error> {
        let encoded = encode(&self.fields, rows)?;
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let digest = Digest::of(&encoded.sidecar).to_string();
        let name = format!("{}-{sequence:06}-{}", super::stamp(), &digest[..12]);
        let path = format!("{}/{name}", self.folder);
        self.cache.put(&format!("{path}.parquet"), &[&encoded.parquet])?;
        self.cache.put(&format!("{path}.keys"), &[&encoded.sidecar])?;
        let size = encoded.parquet.len() as u64;
        let sidecar = Sidecar::open(encoded.sidecar.into(), self.fields.len()).map_err(Error::Internal)?;
        let stored = Stored { name: name.clone(), sidecar, segment: Default::default() };
        self.segments.write().unwrap_or_else(|p| p.into_inner()).push(Arc::new(stored));
        Ok((name, size))
    }

    /// Values of a column at the given places, each checked against its digest. A file that fails the check is moved aside
    /// and the error is [`Error::Damaged`].
    pub fn read(&self, column: usize, places: &[Place], digests: &[Digest]) -> Result<ArrayRef, Error> {
        let field = &self.fields[column];
        let segments = self.segments();
        let mut wanted: HashMap<u32, Vec<u32>> = HashMap::new();
        let mut expected: HashMap<u32, Vec<Digest>> = HashMap::new();
        let mut indices = Vec::with_capacity(places.len());
        for (place, digest) in places.iter().zip(digests) {
            let rows = wanted.entry(place.segment).or_default();
            indices.push((place.segment, rows.len()));
            rows.push(place.row);
            expected.entry(place.segment).or_default().push(*digest);
        }
        let mut slots = HashMap::new();
        let mut arrays = Vec::new();
        for (number, rows) in &wanted {
            slots.insert(*number, arrays.len());
            arrays.push(self.read_segment(&segments[*number as usize], field, rows, &expected[number])?);
        }
        match arrays.as_slice() {
            [] => Ok(new_empty_array(field.data_type())),
            [only] => Ok(only.clone()),
            _ => {
                let indices: Vec<_> =
                    indices.into_iter().map(|(segment, row)| (slots[&segment], row)).collect();
                Ok(interleave(&arrays.iter().map(|a| a.as_ref()).collect::<Vec<_>>(), &indices)?)
            }
        }
    }

    fn read_segment(
        &self,
        stored: &Stored,
        field: &FieldRef,
        rows: &[u32],
        expected: &[Digest],
    ) -> Result<ArrayRef, Error> {
        let path = format!("{}/{}.parquet", self.folder, stored.name);
        let segment = match stored.segment.get() {
            Some(segment) => segment,
            None => {
                // A file that is gone makes its rows misses; one that cannot be read just now may be whole.
                let bytes = match self.cache.read(&path) {
                    Err(error @ Error::Io { .. }) if self.cache.exists(&path) => return Err(error),
                    read => read.map_err(|error| self.cache.damaged(&path, &error.to_string()))?,
                };
                stored.segment.get_or_init(|| Segment::new(bytes))
            }
        };
        let values =
            segment.values(field, rows).map_err(|error| self.cache.damaged(&path, &error.to_string()))?;
        if cells(&values)? != expected {
            return Err(self
                .cache
                .damaged(&path, &format!("values of column `{}` do not match their digests", field.name())));
        }
        Ok(values)
    }

    fn segments(&self) -> Vec<Arc<Stored>> {
        self.segments.read().unwrap_or_else(|p| p.into_inner()).clone()
    }
}

/// The sidecar of a segment; rebuilt where it is missing or damaged. `None` where the segment itself cannot be read.
fn open_sidecar(
    cache: &Cache,
    folder: &str,
    name: &str,
    size: u64,
    present: bool,
    fields: &[FieldRef],
) -> Result<Option<Sidecar>, Error> {
    let (keys, parquet) = (format!("{folder}/{name}.keys"), format!("{folder}/{name}.parquet"));
    if present {
        match Sidecar::open(cache.read(&keys)?, fields.len()) {
            Ok(sidecar) if sidecar.segment_size() == size => return Ok(Some(sidecar)),
            Ok(_) => {
                cache.damaged(&parquet, "its size is not what was written");
                cache.damaged(&keys, "its segment is damaged");
                return Ok(None);
            }
            Err(what) => drop(cache.damaged(&keys, &what)),
        }
    }
    let segment = Segment::new(cache.read(&parquet)?);
    match segment.rebuild_sidecar(fields) {
        // The name holds the beginning of the sidecar's digest, so values that have changed since are found here too.
        Ok(bytes) if !name.ends_with(&Digest::of(&bytes).to_string()[..12]) => {
            cache.damaged(&parquet, "its values are not those that were written");
            Ok(None)
        }
        Ok(bytes) => {
            cache.put(&keys, &[&bytes])?;
            Ok(Sidecar::open(bytes.into(), fields.len()).ok())
        }
        Err(error) => {
            cache.damaged(&parquet, &error.to_string());
            Ok(None)
        }
    }
}
