//! Pipes of the system that carry bytes from socket to socket without a copy through the program
//! (splice(2), Linux alone).
//!
//! A direction takes a pipe for bulk. The pipe goes back to a pool as soon as it is empty and its reader has no more
//! bytes, so idle tunnels hold none. The number of pipes is bounded, because each takes two descriptors, and up to
//! 1 MiB waits in it while a writer does not take the bytes.

#[cfg(target_os = "linux")]
pub use linux::close_kept_pipes;
#[cfg(target_os = "linux")]
pub(super) use linux::{Pipe, take};
#[cfg(not(target_os = "linux"))]
pub use portable::close_kept_pipes;
#[cfg(not(target_os = "linux"))]
pub(super) use portable::{Pipe, take};

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{LazyLock, Mutex, PoisonError};

    use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
    use tokio::net::TcpStream;

    use crate::descriptors;

    /// The largest pipe that Linux gives a user without privileges.
    const SIZE: usize = 1024 * 1024;
    /// A smaller pipe is no better than copying. Linux gives small pipes to a user who has many.
    const LEAST: usize = 64 * 1024;
    /// How many pipes of [`SIZE`] Linux gives a user without privileges.
    const MOST: usize = 64;
    /// How many empty pipes are kept.
    const KEPT: usize = 4;

    /// How many pipes this process has, including those in the pool.
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    static POOL: Mutex<Vec<Pipe>> = Mutex::new(Vec::new());
    /// The largest number of pipes. At most one descriptor in 64 is for pipes.
    static LIMIT: LazyLock<usize> = LazyLock::new(|| {
        usize::try_from(descriptors::limit() / 128)
            .unwrap_or(MOST)
            .min(MOST)
    });

    /// A pipe, and how many bytes it holds.
    #[derive(Debug)]
    pub(crate) struct Pipe {
        out: OwnedFd,
        into: OwnedFd,
        size: usize,
        held: usize,
    }

    /// Takes an empty pipe from the pool, or makes one. `None` if too many are in use, or if the system gives none.
    pub(crate) fn take() -> Option<Pipe> {
        if let Some(pipe) = pool().pop() {
            return Some(pipe);
        }
        let in_use = COUNT.fetch_add(1, Ordering::Relaxed);
        let made = (in_use < *LIMIT).then(Pipe::new).and_then(Result::ok);
        if made.is_none() {
            COUNT.fetch_sub(1, Ordering::Relaxed);
        }
        made.filter(|pipe| pipe.size >= LEAST)
    }

    /// Closes the empty pipes that the relays of this process keep. It is for a process that checks for open
    /// descriptors.
    pub fn close_kept_pipes() {
        pool().clear();
    }

    fn pool() -> std::sync::MutexGuard<'static, Vec<Pipe>> {
        POOL.lock().unwrap_or_else(PoisonError::into_inner)
    }

    impl Pipe {
        /// Makes a pipe. The caller has counted it.
        fn new() -> io::Result<Self> {
            let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
            let size = match fcntl_setpipe_size(&into, SIZE) {
                Ok(size) => size,
                Err(_) => rustix::pipe::fcntl_getpipe_size(&into)?,
            };
            Ok(Self {
                out,
                into,
                size,
                held: 0,
            })
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.held == 0
        }

        /// Moves bytes from `reader` into the pipe, and does not block. 0 is the end of the stream. The pipe must be
        /// empty, because a full pipe and a socket without bytes give the same error.
        pub(crate) fn fill(&mut self, reader: &TcpStream) -> io::Result<usize> {
            debug_assert!(self.is_empty(), "only an empty pipe is filled");
            let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
            self.held = splice(reader, None, &self.into, None, self.size, flags)?;
            Ok(self.held)
        }

        /// Moves bytes of the pipe to `writer`, all or some of them, and does not block.
        pub(crate) fn drain(&mut self, writer: &TcpStream) -> io::Result<usize> {
            let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
            let moved = splice(&self.out, None, writer, None, self.held, flags)?;
            self.held = self.held.saturating_sub(moved);
            Ok(moved)
        }

        /// Gives an empty pipe back to the pool. A pipe with bytes is closed.
        pub(crate) fn give_back(self) {
            let mut pool = pool();
            if self.is_empty() && pool.len() < KEPT {
                pool.push(self);
            }
        }
    }

    impl Drop for Pipe {
        fn drop(&mut self) {
            COUNT.fetch_sub(1, Ordering::Relaxed);
        }
    }

    #[cfg(test)]
    mod tests {
        use tokio::io::AsyncWriteExt;

        use super::*;

        /// Only this test counts pipes, because the count is that of the whole process.
        #[tokio::test]
        async fn pipes_are_bounded_and_only_empty_ones_are_used_again() {
            let taken: Vec<_> = std::iter::from_fn(take).collect();
            assert_eq!(taken.len(), *LIMIT);
            assert_eq!(COUNT.load(Ordering::Relaxed), *LIMIT);
            let mut taken = taken.into_iter();

            let (mut sender, reader) = crate::test_tcp::pair().await;
            let mut pipe = taken.next().unwrap();
            let nothing = pipe.fill(&reader).unwrap_err();
            assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
            sender.write_all(b"left over").await.unwrap();
            reader.readable().await.unwrap();
            assert_eq!(pipe.fill(&reader).unwrap(), 9);
            pipe.give_back();
            assert!(pool().is_empty());
            assert_eq!(COUNT.load(Ordering::Relaxed), *LIMIT - 1);

            taken.for_each(Pipe::give_back);
            assert_eq!(pool().len(), KEPT);
            assert_eq!(COUNT.load(Ordering::Relaxed), KEPT);
            assert!(take().is_some_and(|pipe| pipe.is_empty()));
            close_kept_pipes();
            assert_eq!(COUNT.load(Ordering::Relaxed), 0);
        }
    }
}

/// Systems without splice(2) have no pipes here.
#[cfg(not(target_os = "linux"))]
mod portable {
    use std::io;

    use tokio::net::TcpStream;

    #[derive(Debug)]
    pub(crate) enum Pipe {}

    pub(crate) fn take() -> Option<Pipe> {
        None
    }

    /// Does nothing: there are no pipes.
    pub fn close_kept_pipes() {}

    impl Pipe {
        pub(crate) fn is_empty(&self) -> bool {
            match *self {}
        }

        pub(crate) fn fill(&mut self, _: &TcpStream) -> io::Result<usize> {
            match *self {}
        }

        pub(crate) fn drain(&mut self, _: &TcpStream) -> io::Result<usize> {
            match *self {}
        }

        pub(crate) fn give_back(self) {
            match self {}
        }
    }
}
