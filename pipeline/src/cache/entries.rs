//! What has one stage computed so far? The segments of one identity: look-ups by key, reads by place, commits.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, RwLock};

use arrow::array::{ArrayRef, new_empty_array};
use arrow::compute::interleave;
use arrow::datatypes::FieldRef;
use bytes::Bytes;

use super::places::Places;
use super::segment::{Rows, Segment, encode};
use super::sidecar::{self, Damaged, Sidecar};
use super::storage::Item;
use super::{Cache, format1};
use crate::digest::{Digest, cells};
use crate::error::Error;

pub use super::places::Place;

/// The stored rows of one identity (or of one result of a table stage).
pub struct Entries {
    cache: Arc<Cache>,
    folder: String,
    fields: Vec<FieldRef>,
    places: RwLock<Places>,
    sequence: AtomicU32,
}

/// One segment with its sidecar.
pub(super) struct Stored {
    pub name: String,
    pub sidecar: Sidecar,
    /// Whether its rows stand before those that were there already.
    pub forced: bool,
    /// Whether its file has been removed since.
    pub gone: AtomicBool,
    segment: OnceLock<Segment>,
}

/// Whether a segment of that name stands before those that were there already.
pub(crate) fn is_forced(name: &str) -> bool {
    name.split('-').nth(1).is_some_and(|number| number.starts_with('f'))
}

impl Stored {
    fn new(name: String, sidecar: Sidecar) -> Self {
        let forced = is_forced(&name);
        Stored { name, sidecar, forced, gone: AtomicBool::new(false), segment: OnceLock::new() }
    }

    /// Whether its file has been opened.
    pub fn opened(&self) -> bool {
        self.segment.get().is_some()
    }
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
        Self::among(cache, folder, fields, only, &listed)
    }

    /// Like [`open`](Self::open), of a folder that was just listed.
    pub fn among(
        cache: Arc<Cache>,
        folder: String,
        fields: Vec<FieldRef>,
        only: Option<&[String]>,
        listed: &[Item],
    ) -> Result<Self, Error> {
        let places = RwLock::default();
        let entries = Entries { cache, folder, fields, places, sequence: AtomicU32::new(0) };
        entries.add(listed, |name| only.is_none_or(|only| only.iter().any(|n| n == name)))?;
        Ok(entries)
    }

    /// Takes in the segments that other processes have put since.
    pub fn refresh(&self) -> Result<(), Error> {
        self.add(&self.cache.list(&self.folder)?, |_| true)
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
        self.places().stored().iter().map(|s| s.name.clone()).collect()
    }

    /// Number of rows stored, those that newer ones of their key stand before included.
    pub fn rows(&self) -> usize {
        self.places().stored().iter().map(|s| s.sidecar.rows()).sum()
    }

    /// The place of each key; of a key computed again on demand (`--force`) the newest.
    pub fn find(&self, keys: &[Digest]) -> Result<Vec<Option<Place>>, Error> {
        let damaged = |(stored, what): (Arc<Stored>, Damaged)| self.damaged_sidecar(&stored, &what);
        let found = self.places().find(keys).map_err(damaged)?;
        if self.places().is_index_due() {
            self.places_to_change().grow_index().map_err(damaged)?;
        }
        Ok(found)
    }

    /// Digest of every cell of a column at the given places.
    pub fn digests(&self, column: usize, places: &[Place]) -> Result<Arc<[Digest]>, Error> {
        let segments = self.places();
        let digest = |place: &Place| {
            let stored = segments.at(*place);
            let digest = stored.sidecar.digest(column, place.row());
            digest.map_err(|what| self.damaged_sidecar(stored, &what))
        };
        places.iter().map(digest).collect()
    }

    /// The ids that the rows at the given places were computed for.
    pub fn ids(&self, places: &[Place]) -> Result<Vec<String>, Error> {
        self.tell(places, |segment, rows| {
            Ok(segment.ids(rows)?.iter().map(|id| id.unwrap_or_default().to_owned()).collect())
        })
    }

    /// For the rows at the given places the digests of the cells that their keys were made of, in the order in which the
    /// stage consumes columns; empty where a segment does not tell.
    pub fn inputs(&self, places: &[Place]) -> Result<Vec<Vec<Digest>>, Error> {
        self.tell(places, Segment::inputs)
    }

    /// Every place, oldest segment first.
    pub fn all(&self) -> Vec<Place> {
        self.places().all()
    }

    /// The name of the segment of a place: when it was written, and its number in the run.
    pub fn segment(&self, place: Place) -> String {
        self.places().at(place).name.clone()
    }

    /// The stage's own columns at the given places, as a light batch carries them.
    pub fn columns(
        self: &Arc<Self>,
        places: &Arc<[Place]>,
    ) -> Result<Vec<(&str, crate::batch::Column)>, Error> {
        let column = |(column, field)| {
            let digests = self.digests(column, places)?;
            let (entries, places) = (self.clone(), places.clone());
            let stored = crate::batch::Stored { entries, column, digests, places };
            let field: &FieldRef = field;
            Ok((field.name().as_str(), crate::batch::Column::Stored(stored)))
        };
        self.fields.iter().enumerate().map(column).collect()
    }

    /// The opened segments, in the order in which they were.
    pub(super) fn stored(&self) -> Vec<Arc<Stored>> {
        self.places().stored().to_vec()
    }

    /// Writes rows as one segment and makes them durable; they are found from then on, before older ones of the same key if
    /// they were `forced`. Returns the name of the segment and the bytes written.
    pub fn commit(&self, rows: &Rows, forced: bool) -> Result<(String, u64), Error> {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let mark = if forced { "f" } else { "" };
        self.put(rows, &format!("{}-{mark}{sequence:06}", super::stamp()))
    }

    /// Writes rows as one segment whose name begins so.
    pub(super) fn put(&self, rows: &Rows, beginning: &str) -> Result<(String, u64), Error> {
        let encoded = encode(&self.fields, rows)?;
        let name = format!("{beginning}-{}", sidecar::name_of(&encoded.sidecar));
        let path = format!("{}/{name}", self.folder);
        self.cache.put(&format!("{path}.parquet"), &[&encoded.parquet])?;
        self.cache.put(&format!("{path}.keys"), &[&encoded.sidecar])?;
        let size = (encoded.parquet.len() + encoded.sidecar.len()) as u64;
        let sidecar = Sidecar::open(encoded.sidecar.into(), self.fields.len()).map_err(Error::Internal)?;
        let stored = Arc::new(Stored::new(name.clone(), sidecar));
        self.places_to_change().push(stored);
        Ok((name, size))
    }

    /// Values of a column at the given places, each checked against its digest. A file that fails the check is moved aside
    /// and the error is [`Error::Damaged`].
    pub fn read(&self, column: usize, places: &[Place], digests: &[Digest]) -> Result<ArrayRef, Error> {
        let field = &self.fields[column];
        let (groups, order) = by_segment(places);
        let mut arrays = Vec::with_capacity(groups.len());
        for (segment, positions) in &groups {
            let rows: Vec<u32> = positions.iter().map(|&at| places[at].row()).collect();
            let expected: Vec<Digest> = positions.iter().map(|&at| digests[at]).collect();
            let stored = self.places().segment(*segment).clone();
            arrays.push(self.read_segment(&stored, column, &rows, &expected)?);
        }
        match arrays.as_slice() {
            [] => Ok(new_empty_array(field.data_type())),
            [only] => Ok(only.clone()),
            _ => Ok(interleave(&arrays.iter().map(|a| a.as_ref()).collect::<Vec<_>>(), &order)?),
        }
    }

    fn read_segment(
        &self,
        stored: &Stored,
        column: usize,
        rows: &[u32],
        expected: &[Digest],
    ) -> Result<ArrayRef, Error> {
        let field = &self.fields[column];
        let Some(segment) = self.open_segment(stored)? else {
            return self.read_elsewhere(stored, column, rows, expected);
        };
        let path = self.path(&stored.name, "parquet");
        let values =
            segment.values(field, rows).map_err(|error| self.cache.damaged(&path, &error.to_string()))?;
        if cells(&values)? != expected {
            let what = format!("values of column `{}` do not match their digests", field.name());
            return Err(self.cache.damaged(&path, &what));
        }
        Ok(values)
    }

    /// Somebody has merged or removed the segment since it was opened: its rows may lie in another one by now.
    fn read_elsewhere(
        &self,
        stored: &Stored,
        column: usize,
        rows: &[u32],
        expected: &[Digest],
    ) -> Result<ArrayRef, Error> {
        stored.gone.store(true, Ordering::Relaxed);
        self.refresh()?;
        let keys = rows.iter().map(|&row| stored.sidecar.key(row)).collect::<Result<Vec<_>, _>>();
        let keys = keys.map_err(|what| self.damaged_sidecar(stored, &what))?;
        match self.find(&keys)?.into_iter().collect::<Option<Vec<Place>>>() {
            Some(places) if *self.digests(column, &places)? != *expected => Err(Error::Damaged {
                path: self.path(&stored.name, "parquet"),
                what: "it is gone, and its rows were computed anew with other values".into(),
            }),
            Some(places) => self.read(column, &places, expected),
            None => Err(self.cache.damaged(&self.path(&stored.name, "parquet"), "it is gone")),
        }
    }

    /// The opened segment; `None` where its file is gone.
    fn open_segment<'a>(&self, stored: &'a Stored) -> Result<Option<&'a Segment>, Error> {
        if let Some(segment) = stored.segment.get() {
            return Ok(Some(segment));
        }
        match self.cache.read(&self.path(&stored.name, "parquet")) {
            Ok(bytes) => Ok(Some(stored.segment.get_or_init(|| Segment::new(bytes)))),
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the segments say of the rows at the given places, in their order.
    fn tell<T: Clone + Default>(
        &self,
        places: &[Place],
        ask: impl Fn(&Segment, &[u32]) -> Result<Vec<T>, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut told = vec![T::default(); places.len()];
        for (segment, positions) in by_segment(places).0 {
            let rows: Vec<u32> = positions.iter().map(|&at| places[at].row()).collect();
            let stored = self.places().segment(segment).clone();
            let Some(opened) = self.open_segment(&stored)? else { continue };
            let path = self.path(&stored.name, "parquet");
            let answers =
                ask(opened, &rows).map_err(|error| self.cache.damaged(&path, &error.to_string()))?;
            positions.into_iter().zip(answers).for_each(|(at, answer)| told[at] = answer);
        }
        Ok(told)
    }

    fn damaged_sidecar(&self, stored: &Stored, what: &str) -> Error {
        self.cache.damaged(&self.path(&stored.name, "keys"), what)
    }

    fn path(&self, name: &str, kind: &str) -> String {
        format!("{}/{name}.{kind}", self.folder)
    }

    fn places(&self) -> std::sync::RwLockReadGuard<'_, Places> {
        self.places.read().unwrap_or_else(|p| p.into_inner())
    }

    fn places_to_change(&self) -> std::sync::RwLockWriteGuard<'_, Places> {
        self.places.write().unwrap_or_else(|p| p.into_inner())
    }

    /// Opens the segments of the folder that are wanted and not open yet.
    fn add(&self, listed: &[Item], wanted: impl Fn(&str) -> bool + Copy) -> Result<(), Error> {
        let known: HashSet<String> = self.names().into_iter().collect();
        let names = |kind: &'static str| {
            let named =
                listed.iter().filter_map(move |item| Some((item.name.strip_suffix(kind)?, item.size)));
            named.filter(|(name, _)| wanted(name)).collect::<HashMap<&str, u64>>()
        };
        let (segments, sidecars) = (names(".parquet"), names(".keys"));
        for name in sidecars.keys().filter(|name| !segments.contains_key(*name)) {
            // Whoever removes a segment on purpose removes its sidecar first.
            let path = self.path(name, "keys");
            if self.cache.size(&path)?.is_some() && self.cache.size(&self.path(name, "parquet"))?.is_none() {
                self.cache.damaged(&path, "its segment is gone");
            }
        }
        let mut fresh: Vec<_> = segments.into_iter().filter(|(name, _)| !known.contains(*name)).collect();
        fresh.sort_unstable();
        let mut gone = false;
        for (name, size) in fresh {
            let sidecar = self.open_sidecar(name, size, sidecars.contains_key(name))?;
            gone |= sidecar.is_none();
            if let Some(sidecar) = sidecar {
                self.places_to_change().push(Arc::new(Stored::new(name.to_owned(), sidecar)));
            }
        }
        // What went since it was listed may have been merged into a segment that came since.
        if gone { self.add(&self.cache.list(&self.folder)?, wanted) } else { Ok(()) }
    }

    fn read_sidecar(&self, bytes: Bytes, segment: &str) -> Result<Sidecar, Damaged> {
        if !format1::is(&bytes) {
            return Sidecar::open(bytes, self.fields.len());
        }
        let segment = self.cache.read(segment).map_err(|error| error.to_string())?;
        Sidecar::open(format1::upgrade(&bytes, &segment)?.into(), self.fields.len())
    }

    /// The sidecar of a segment; rebuilt where it is missing or damaged. `None` where the segment cannot be read either.
    fn open_sidecar(&self, name: &str, size: u64, present: bool) -> Result<Option<Sidecar>, Error> {
        let (keys, parquet) = (self.path(name, "keys"), self.path(name, "parquet"));
        let bytes = if present { self.cache.find(&keys)? } else { None };
        if let Some(bytes) = bytes {
            let belongs = name.ends_with(&sidecar::name_of(&bytes));
            match self.read_sidecar(bytes, &parquet) {
                Ok(_) if !belongs => drop(self.cache.damaged(&keys, "it belongs to another segment")),
                Ok(sidecar) if sidecar.segment_size() == size => return Ok(Some(sidecar)),
                Ok(_) => {
                    self.cache.damaged(&parquet, "its size is not what was written");
                    self.cache.damaged(&keys, "its segment is damaged");
                    return Ok(None);
                }
                Err(what) => drop(self.cache.damaged(&keys, &what)),
            }
        }
        let Some(bytes) = self.cache.find(&parquet)? else { return Ok(None) };
        match Segment::new(bytes).rebuild_sidecar(&self.fields) {
            // The name holds the beginning of the sidecar's root, so values that have changed since are found here too.
            Ok(bytes) if !name.ends_with(&sidecar::name_of(&bytes)) => {
                self.cache.damaged(&parquet, "its content is not what was written");
                Ok(None)
            }
            Ok(bytes) => {
                self.cache.put(&keys, &[&bytes])?;
                Ok(Sidecar::open(bytes.into(), self.fields.len()).ok())
            }
            Err(error) => {
                self.cache.damaged(&parquet, &error.to_string());
                Ok(None)
            }
        }
    }
}

/// Positions by segment, and for each position which group and where in it.
type Groups = (Vec<(u32, Vec<usize>)>, Vec<(usize, usize)>);

fn by_segment(places: &[Place]) -> Groups {
    let mut slots: HashMap<u32, usize> = HashMap::new();
    let mut groups: Vec<(u32, Vec<usize>)> = Vec::new();
    let mut order = Vec::with_capacity(places.len());
    for (at, place) in places.iter().enumerate() {
        let slot = *slots.entry(place.segment()).or_insert_with(|| {
            groups.push((place.segment(), Vec::new()));
            groups.len() - 1
        });
        order.push((slot, groups[slot].1.len()));
        groups[slot].1.push(at);
    }
    (groups, order)
}
