//! A connected pair of stream sockets. See unix(7), send(2).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType,
};

use crate::limits::BATCH;

/// The room for the descriptors of one write, beside its bytes.
const BATCH_SPACE: usize = rustix::cmsg_space!(ScmRights(BATCH));

/// The descriptors that came with the bytes of one read. They were sent by one write: a read ends where the bytes of such a write
/// end, and has its descriptors also if it ends before.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) fds: Vec<OwnedFd>,
    /// Whether there were more, for which this process has no room. These are the first ones.
    pub(crate) is_cut_off: bool,
}

impl Batch {
    /// Whether there was nothing.
    pub(crate) fn is_none(&self) -> bool {
        self.fds.is_empty() && !self.is_cut_off
    }
}

/// One end of a pair. Closed on exec, and never one of the standard descriptors.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
}

impl Socket {
    /// Two ends, each of which reads what the other writes.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Self { fd: super::above_stdio(a)? }, Self { fd: super::above_stdio(b)? }))
    }

    pub(crate) fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// What identifies this end in the whole system as long as it is open.
    pub(crate) fn inode(&self) -> io::Result<u64> {
        inode(self.fd.as_fd())
    }

    /// Writes what fits now. `WouldBlock` if nothing does.
    pub(crate) fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        Ok(rustix::io::retry_on_intr(|| rustix::net::send(&self.fd, bytes, flags))?)
    }

    /// Writes what fits now, and these descriptors with it: all of them, if anything is written.
    pub(crate) fn try_send_with(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        self.sendmsg(bytes, fds, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
    }

    /// As [`try_send_with`](Self::try_send_with), waiting for room.
    pub(crate) fn send_with(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        self.sendmsg(bytes, fds, SendFlags::NOSIGNAL)
    }

    fn sendmsg(&self, bytes: &[u8], fds: &[BorrowedFd<'_>], flags: SendFlags) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); BATCH_SPACE];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(rustix::io::retry_on_intr(|| {
            rustix::net::sendmsg(&self.fd, &[IoSlice::new(bytes)], &mut control, flags)
        })?)
    }

    /// Writes all of it, however long the other side takes.
    pub(crate) fn send_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let sent = rustix::io::retry_on_intr(|| {
                rustix::net::send(&self.fd, bytes, SendFlags::NOSIGNAL)
            })?;
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    /// Reads what is there, waiting for the first byte. 0 is the end.
    pub(crate) fn recv(&self, buffer: &mut [u8]) -> io::Result<(usize, Batch)> {
        self.recvmsg(buffer, RecvFlags::CMSG_CLOEXEC)
    }

    /// Reads what is there now. `WouldBlock` if nothing is; 0 is the end.
    pub(crate) fn try_recv(&self, buffer: &mut [u8]) -> io::Result<(usize, Batch)> {
        self.recvmsg(buffer, RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT)
    }

    fn recvmsg(&self, buffer: &mut [u8], flags: RecvFlags) -> io::Result<(usize, Batch)> {
        let mut space = [MaybeUninit::uninit(); BATCH_SPACE];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            rustix::net::recvmsg(&self.fd, &mut [IoSliceMut::new(buffer)], &mut control, flags)
        })?;
        let is_cut_off = received.flags.contains(ReturnFlags::CTRUNC);
        let mut batch = Batch { fds: Vec::new(), is_cut_off };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                for fd in fds {
                    match super::above_stdio(fd) {
                        Ok(fd) => batch.fds.push(fd),
                        Err(_) => batch.is_cut_off = true,
                    }
                }
            }
        }
        Ok((received.bytes, batch))
    }

    /// Ends both directions: the other side is told of a hang-up.
    pub(crate) fn hang_up(&self) {
        let _ = rustix::net::shutdown(&self.fd, Shutdown::Both);
    }

    /// Ends this direction: the other side reads what was written, then the end.
    pub(crate) fn finish_sending(&self) {
        // The other side may be gone already.
        let _ = rustix::net::shutdown(&self.fd, Shutdown::Write);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The inode of what `fd` refers to, if that is a socket.
pub(crate) fn inode(fd: BorrowedFd<'_>) -> io::Result<u64> {
    let stat = rustix::fs::fstat(fd)?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Socket {
        Ok(stat.st_ino)
    } else {
        Err(io::ErrorKind::NotConnected.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_travel_and_the_end_is_seen() {
        let (a, b) = Socket::pair().unwrap();
        assert_ne!(a.inode().unwrap(), b.inode().unwrap());
        a.send_all(b"abc").unwrap();
        a.finish_sending();
        let mut buffer = [0; 8];
        assert_eq!(b.recv(&mut buffer).unwrap().0, 3);
        assert_eq!(b.recv(&mut buffer).unwrap().0, 0);
        b.send_all(b"d").unwrap();
        assert_eq!(a.try_recv(&mut buffer).unwrap().0, 1);
        assert_eq!(a.try_recv(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn descriptors_travel_with_bytes() {
        let (a, b) = Socket::pair().unwrap();
        let (c, d) = Socket::pair().unwrap();
        a.send_all(b"before").unwrap();
        assert_eq!(a.try_send_with(b"abc", &[d.as_fd(); BATCH]).unwrap(), 3);
        a.send_all(b"def").unwrap();
        assert!(
            a.try_send_with(b"x", &[d.as_fd(); BATCH + 1]).is_err(),
            "more than the kernel takes"
        );
        let mut buffer = [0; 64];
        let (read, Batch { fds, is_cut_off }) = b.recv(&mut buffer).unwrap();
        assert_eq!((&buffer[..read], is_cut_off), (&b"beforeabc"[..], false), "up to these bytes");
        assert_eq!(fds.len(), BATCH);
        for fd in fds {
            let copy = Socket::from_fd(fd);
            assert_eq!(copy.inode().unwrap(), d.inode().unwrap());
            copy.send_all(b"x").unwrap();
        }
        assert_eq!(c.recv(&mut [0; 1000]).unwrap().0, BATCH);
        let (read, batch) = b.recv(&mut buffer).unwrap();
        assert!(read == 3 && batch.is_none());
    }

    #[test]
    fn descriptors_come_with_the_first_of_their_bytes() {
        let (a, b) = Socket::pair().unwrap();
        a.send_with(b"abc", &[a.as_fd()]).unwrap();
        a.send_with(b"def", &[a.as_fd(), a.as_fd()]).unwrap();
        let read = |bytes: usize| {
            let (read, batch) = b.try_recv(&mut [0; 64][..bytes]).unwrap();
            (read, batch.fds.len())
        };
        assert_eq!([read(2), read(64)], [(2, 1), (4, 2)]);
    }

    #[test]
    fn what_was_written_before_a_hang_up_can_still_be_read() {
        let (a, b) = Socket::pair().unwrap();
        b.send_all(b"last words").unwrap();
        a.send_all(b"never read there").unwrap();
        a.hang_up();
        assert!(b.send_all(b"too late").is_err());
        drop(b);
        let mut buffer = [0; 16];
        assert_eq!(a.try_recv(&mut buffer).unwrap().0, 10);
        assert!(matches!(a.try_recv(&mut buffer), Ok((0, _)) | Err(_)));
    }

    #[test]
    fn a_full_channel_refuses_instead_of_blocking() {
        let (a, _b) = Socket::pair().unwrap();
        let chunk = vec![0; 1 << 20];
        let error = std::iter::repeat_with(|| a.try_send(&chunk)).find_map(Result::err).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
