//! ipc-channel: channels on which a pool could be built. One other process serves requests.
//!
//! Bytes travel in its shared memory, and the receiver copies them, because in the other programs the task owns them too.

use std::env;
use std::process::{Child, Command};

use ipc_channel::ipc::{self, IpcOneShotServer, IpcReceiver, IpcSender, IpcSharedMemory};
use loky_benches::Result;
use serde::{Deserialize, Serialize};

use crate::measure::Pool;

#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    calls: IpcSender<Call>,
    results: IpcReceiver<usize>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Call {
    Nothing,
    LenOf(IpcSharedMemory),
    End,
}

type Ends = (IpcSender<Call>, IpcReceiver<usize>);

impl Pool for Process {
    const STARTS: bool = false;

    fn start(_n_workers: usize) -> Result<Self> {
        let (server, name) = IpcOneShotServer::<Ends>::new()?;
        let child = Command::new(env::current_exe()?).args(["--ipc-worker", &name]).spawn()?;
        let (_, (calls, results)) = server.accept()?;
        Ok(Self { child, calls, results })
    }

    fn call(&mut self) -> Result<()> {
        self.calls.send(Call::Nothing)?;
        self.results.recv()?;
        Ok(())
    }

    fn collect(&mut self, _n_calls: usize) -> Result<Option<()>> {
        Ok(None)
    }

    fn map(&mut self, _n_items: usize) -> Result<Option<()>> {
        Ok(None)
    }

    fn large(&mut self, data: Vec<u8>) -> Result<usize> {
        self.calls.send(Call::LenOf(IpcSharedMemory::from_bytes(&data)))?;
        Ok(self.results.recv()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.calls.send(Call::End);
        let _ = self.child.wait();
    }
}

/// Serves requests, in the other process.
pub(crate) fn work(server: &str) -> Result<()> {
    let (calls, our_calls) = ipc::channel()?;
    let (our_results, results) = ipc::channel()?;
    IpcSender::<Ends>::connect(server.to_owned())?.send((calls, results))?;
    loop {
        our_results.send(match our_calls.recv()? {
            Call::Nothing => 0,
            Call::LenOf(data) => data.to_vec().len(),
            Call::End => return Ok(()),
        })?;
    }
}
