//! The program that we are, in a form that no container can change.
//!
//! A process on its way into a container shows its program as `/proc/PID/exe` to those who may
//! look, and who opens that for writing changes the program of the host. What is executed from a
//! mount that is read-only shows a file that is.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::mount::MountAttrFlags;

use super::bind;
use crate::runtime::native::container::sys::{self, Depth, MountAttributes};

/// The program that runs now, to be executed as `/proc/self/fd/NUMBER`: by shims, and by commands
/// that run others in containers.
///
/// # Errors
///
/// If the kernel refuses.
pub fn sealed_program() -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let program = rustix::fs::open(c"/proc/self/exe", flags, Mode::empty())?;
    seal(program.as_fd())
}

/// A file that nobody can write to by this descriptor, nor by what is executed from it.
fn seal(file: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let tree = bind::copy(file, Depth::One)?;
    let set = MountAttrFlags::MOUNT_ATTR_RDONLY.bits().into();
    let sealed = MountAttributes { set, propagation: libc::MS_PRIVATE, ..Default::default() };
    sys::mount_setattr(&tree, Depth::One, &sealed)?;
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::ErrorKind;
    use std::os::fd::{AsFd as _, AsRawFd as _};

    use super::{seal, sealed_program};

    #[test]
    #[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
    fn nobody_writes_to_a_sealed_program() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: mounting needs root");
            return;
        }
        assert!(sealed_program().is_ok());
        // What runs cannot be written to anyway: the file of the test does not.
        let file = tempfile::NamedTempFile::new().unwrap();
        let sealed = seal(file.as_file().as_fd()).unwrap();
        let path = format!("/proc/self/fd/{}", sealed.as_raw_fd());
        assert!(File::open(&path).is_ok());
        let refused = File::options().write(true).open(&path).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ReadOnlyFilesystem);
    }
}
