//! A connected pair of stream sockets. See unix(7), send(2).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType,
};

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

    /// Writes what fits now, and a descriptor with it.
    pub(crate) fn try_send_with(&self, bytes: &[u8], fd: BorrowedFd<'_>) -> io::Result<usize> {
        let fds = [fd];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&fds));
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        Ok(rustix::io::retry_on_intr(|| {
            rustix::net::sendmsg(&self.fd, &[IoSlice::new(bytes)], &mut control, flags)
        })?)
    }

    /// Reads what is there, waiting for the first byte, and the descriptor that came with it, if any. 0 is the end.
    pub(crate) fn recv_with_fd(&self, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            let flags = RecvFlags::CMSG_CLOEXEC;
            rustix::net::recvmsg(&self.fd, &mut [IoSliceMut::new(buffer)], &mut control, flags)
        })?;
        let fds = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        });
        let fd = fds.flatten().next();
        Ok((received.bytes, fd))
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
    pub(crate) fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv_with(buffer, RecvFlags::empty())
    }

    /// Reads what is there now. `WouldBlock` if nothing is; 0 is the end.
    pub(crate) fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv_with(buffer, RecvFlags::DONTWAIT)
    }

    fn recv_with(&self, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
        let (read, _) =
            rustix::io::retry_on_intr(|| rustix::net::recv(&self.fd, &mut *buffer, flags))?;
        Ok(read)
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
        assert_eq!(b.recv(&mut buffer).unwrap(), 3);
        assert_eq!(b.recv(&mut buffer).unwrap(), 0);
        b.send_all(b"d").unwrap();
        assert_eq!(a.try_recv(&mut buffer).unwrap(), 1);
        assert_eq!(a.try_recv(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_descriptor_travels_with_bytes() {
        let (a, b) = Socket::pair().unwrap();
        let (c, d) = Socket::pair().unwrap();
        a.try_send_with(b"abc", d.as_fd()).unwrap();
        a.send_all(b"def").unwrap();
        let mut buffer = [0; 3];
        let (read, fd) = b.recv_with_fd(&mut buffer).unwrap();
        assert_eq!((read, &buffer), (3, b"abc"));
        let copy = Socket::from_fd(fd.unwrap());
        assert_eq!(copy.inode().unwrap(), d.inode().unwrap());
        copy.send_all(b"x").unwrap();
        assert_eq!(c.recv(&mut buffer).unwrap(), 1);
        assert!(b.recv_with_fd(&mut buffer).unwrap().1.is_none());
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
        assert_eq!(a.try_recv(&mut buffer).unwrap(), 10);
        assert!(matches!(a.try_recv(&mut buffer), Ok(0) | Err(_)));
    }

    #[test]
    fn a_full_channel_refuses_instead_of_blocking() {
        let (a, _b) = Socket::pair().unwrap();
        let chunk = vec![0; 1 << 20];
        let error = std::iter::repeat_with(|| a.try_send(&chunk)).find_map(Result::err).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
