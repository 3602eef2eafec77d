//! A connected pair of stream sockets. See unix(7), send(2).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType,
};

use crate::limits::BATCH;

/// The size of the control message with the descriptors of one write.
const BATCH_SPACE: usize = rustix::cmsg_space!(ScmRights(BATCH));

/// The descriptors that arrive with the bytes of one read. They come from one write: a read never crosses the end of a write with
/// descriptors, and delivers them even if it ends earlier.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) fds: Vec<OwnedFd>,
    /// Whether descriptors after these are lost, because this process has no room for more.
    pub(crate) is_cut_off: bool,
}

impl Batch {
    /// Whether no descriptors arrived and none were lost.
    pub(crate) fn is_none(&self) -> bool {
        self.fds.is_empty() && !self.is_cut_off
    }
}

/// One end of a socket pair. Closed on exec, and never a standard descriptor.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
}

impl Socket {
    /// Creates two connected ends.
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

    /// Returns the number that identifies this end in the whole system while it is open.
    pub(crate) fn inode(&self) -> io::Result<u64> {
        inode(self.fd.as_fd())
    }

    /// Writes as many bytes as fit, without blocking. `WouldBlock` if none do.
    pub(crate) fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        Ok(rustix::io::retry_on_intr(|| rustix::net::send(&self.fd, bytes, flags))?)
    }

    /// As [`try_send`](Self::try_send), with descriptors. If any byte is written, all descriptors are sent with it.
    pub(crate) fn try_send_with(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        self.sendmsg(bytes, fds, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
    }

    /// As [`try_send_with`](Self::try_send_with), but blocks until there is room.
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

    /// Writes all bytes, and blocks for as long as that takes.
    pub(crate) fn send_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let sent = rustix::io::retry_on_intr(|| {
                rustix::net::send(&self.fd, bytes, SendFlags::NOSIGNAL)
            })?;
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    /// Reads the available bytes, and blocks until there is one. 0 bytes mean the end.
    pub(crate) fn recv(&self, buffer: &mut [u8]) -> io::Result<(usize, Batch)> {
        self.recvmsg(buffer, RecvFlags::CMSG_CLOEXEC)
    }

    /// Reads the available bytes without blocking. `WouldBlock` if there are none; 0 bytes mean the end.
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

    /// Shuts down both directions. The other end sees a hang-up.
    pub(crate) fn hang_up(&self) {
        let _ = rustix::net::shutdown(&self.fd, Shutdown::Both);
    }

    /// Shuts down the outgoing direction. The other end reads the remaining bytes, then the end.
    pub(crate) fn finish_sending(&self) {
        // The other end may be closed already.
        let _ = rustix::net::shutdown(&self.fd, Shutdown::Write);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Returns the inode of `fd`, if that is a socket.
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
    fn receiver_gets_bytes_then_end() {
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
    fn receiver_gets_descriptors_with_their_bytes() {
        let (a, b) = Socket::pair().unwrap();
        let (c, d) = Socket::pair().unwrap();
        a.send_all(b"before").unwrap();
        assert_eq!(a.try_send_with(b"abc", &[d.as_fd(); BATCH]).unwrap(), 3);
        a.send_all(b"def").unwrap();
        assert!(
            a.try_send_with(b"x", &[d.as_fd(); BATCH + 1]).is_err(),
            "above the limit of the kernel"
        );
        let mut buffer = [0; 64];
        let (read, Batch { fds, is_cut_off }) = b.recv(&mut buffer).unwrap();
        assert_eq!(
            (&buffer[..read], is_cut_off),
            (&b"beforeabc"[..], false),
            "the read ends with the bytes of the descriptors"
        );
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
    fn descriptors_arrive_with_first_of_their_bytes() {
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
    fn bytes_before_hang_up_are_readable() {
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
    fn try_send_on_full_socket_would_block() {
        let (a, _b) = Socket::pair().unwrap();
        let bytes = vec![0; 1 << 20];
        let error = std::iter::repeat_with(|| a.try_send(&bytes)).find_map(Result::err).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
