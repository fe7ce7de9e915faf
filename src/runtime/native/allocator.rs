//! Where this program gets its memory from.
//!
//! In: how the program was called. Out: an allocator. A command makes a tree of many small values
//! and is over: `mimalloc` is quick at that, and keeps half a megabyte for it. A shim or guard needs
//! little for a long time: the allocator of the C library packs it tightly, and can give it back.
//!
//! # Invariants
//!
//! - The choice is made by the first allocation and never changed: what one of them gave, the other
//!   never gets back.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::{CStr, c_char};
use std::io::Write as _;
use std::sync::atomic::{AtomicU8, Ordering};

use mimalloc::MiMalloc;

use super::role::{GUARD_NAME, SHIM_NAME};

/// The allocator of the `ketch` program.
#[derive(Debug)]
pub struct Allocator;

const OF_COMMANDS: u8 = 1;
const OF_SHIMS: u8 = 2;
static CHOICE: AtomicU8 = AtomicU8::new(0);

unsafe extern "C" {
    /// The last part of the first argument; the C library sets it before anything else runs.
    static program_invocation_short_name: *const c_char;
}

#[inline]
fn is_small() -> bool {
    match CHOICE.load(Ordering::Relaxed) {
        0 => choose() == OF_SHIMS,
        choice => choice == OF_SHIMS,
    }
}

#[cold]
fn choose() -> u8 {
    // SAFETY: nobody writes to it once the program runs; it is null or a string.
    let name = unsafe { program_invocation_short_name };
    // SAFETY: see above; the string is the first argument, which stays where it is.
    let called = if name.is_null() { &[] } else { unsafe { CStr::from_ptr(name) }.to_bytes() };
    let is_shim = called == SHIM_NAME.as_bytes() || called == GUARD_NAME.as_bytes();
    let choice = if is_shim { OF_SHIMS } else { OF_COMMANDS };
    CHOICE.store(choice, Ordering::Relaxed);
    choice
}

// SAFETY: each call goes to one of two allocators, and always to the same one.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: what the caller promises is what the allocators want.
        unsafe { if is_small() { System.alloc(layout) } else { MiMalloc.alloc(layout) } }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe {
            if is_small() { System.alloc_zeroed(layout) } else { MiMalloc.alloc_zeroed(layout) }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above; `at` came from the same allocator.
        unsafe {
            if is_small() { System.dealloc(at, layout) } else { MiMalloc.dealloc(at, layout) }
        }
    }

    #[inline]
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; `at` came from the same allocator.
        unsafe {
            if is_small() {
                System.realloc(at, layout, size)
            } else {
                MiMalloc.realloc(at, layout, size)
            }
        }
    }
}

/// Ends the program at once. The system takes all memory back as a whole; at a usual end the
/// allocator would first return it piece by piece, for a twentieth of the time of a large load.
pub fn exit(code: u8) -> ! {
    // What it holds after an error cannot be told to anybody.
    let _ = std::io::stdout().flush();
    // SAFETY: it only ends the process; nothing of ours waits for the end of the program.
    unsafe { libc::_exit(code.into()) }
}

/// Gives back what is free: from here on little happens.
pub(super) fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it only looks at memory that is free.
    unsafe {
        libc::malloc_trim(0);
    }
}
