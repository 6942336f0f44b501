//! What crosses the border of a shared library? The structures of `plugins/include/affectflow.h`, and how their layout is
//! told apart from another one.

use std::ffi::{c_char, c_void};
use std::mem::{offset_of, size_of};

use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema};

/// First word of [`Plugin`]: "affectfl", little end first.
pub const MAGIC: u64 = 0x6c66_7463_6566_6661;

/// The function that a library exports, as [`Entry`].
pub const ENTRY: &[u8] = b"affectflow_plugin\0";

/// Gives the one [`Plugin`] of a library, which lives as long as the library; null where it cannot.
pub type Entry = unsafe extern "C" fn() -> *const Plugin;

/// The row of [`Call::fail`] where the whole call failed.
pub const WHOLE: i64 = -1;

/// What a library brings.
#[repr(C)]
pub struct Plugin {
    /// [`MAGIC`].
    pub magic: u64,
    /// The oldest version of the contract that it speaks.
    pub contract_min: u32,
    /// The newest.
    pub contract_max: u32,
    /// [`layout`] as it was built.
    pub layout: u64,
    /// The manifests of its kinds: a JSON array, ended by a zero byte, that lives as long as the library.
    pub manifests: Option<unsafe extern "C" fn() -> *const c_char>,
    /// Opens a stage of that kind with complete options (JSON); zero where it did, and `worker` is set.
    pub open: Option<Open>,
    /// Computes the added columns, as a struct array of that many rows; zero where it did. `rows` and `schema` belong to the
    /// caller: a plugin that needs the buffers for longer moves the structures, as the C Data Interface says.
    pub compute: Option<Compute>,
    /// Ends a stage.
    pub close: Option<Close>,
}

/// [`Plugin::open`]. Functions may be null in a library that was built carelessly.
pub type Open = unsafe extern "C" fn(
    kind: *const c_char,
    options: *const c_char,
    call: *const Call,
    worker: *mut *mut c_void,
) -> i32;

/// [`Plugin::compute`].
pub type Compute = unsafe extern "C" fn(
    worker: *mut c_void,
    rows: *mut FFI_ArrowArray,
    schema: *mut FFI_ArrowSchema,
    call: *const Call,
    out: *mut FFI_ArrowArray,
    out_schema: *mut FFI_ArrowSchema,
) -> i32;

/// [`Plugin::close`].
pub type Close = unsafe extern "C" fn(worker: *mut c_void);

/// What a plugin can tell during one call. Texts are UTF-8 with their length in bytes, and are copied.
#[repr(C)]
pub struct Call {
    /// Handed back with every function.
    pub host: *mut c_void,
    /// A row failed; [`WHOLE`]: why the call itself returns other than zero.
    pub fail: unsafe extern "C" fn(host: *mut c_void, row: i64, text: *const c_char, length: usize),
    /// Something that stops nothing.
    pub warn: unsafe extern "C" fn(host: *mut c_void, text: *const c_char, length: usize),
    /// How far the work is; `total` is 0 where it is not known.
    pub progress:
        unsafe extern "C" fn(host: *mut c_void, done: u64, total: u64, unit: *const c_char, length: usize),
    /// Other than zero once the user has asked to stop.
    pub stopped: unsafe extern "C" fn(host: *mut c_void) -> i32,
}

/// A number that differs where one of these structures is laid out otherwise. `AFFECTFLOW_LAYOUT` of the header is the same
/// sum.
pub const fn layout() -> u64 {
    let parts = [
        size_of::<*const c_void>(),
        size_of::<usize>(),
        size_of::<FFI_ArrowArray>(),
        size_of::<FFI_ArrowSchema>(),
        size_of::<Call>(),
        offset_of!(Call, fail),
        offset_of!(Call, stopped),
        size_of::<Plugin>(),
        offset_of!(Plugin, layout),
        offset_of!(Plugin, manifests),
        offset_of!(Plugin, close),
    ];
    let (mut sum, mut at) = (1u64, 0);
    while at < parts.len() {
        sum = sum.wrapping_mul(131).wrapping_add(parts[at] as u64);
        at += 1;
    }
    sum
}
