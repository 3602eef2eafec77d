//! procspawn's pool. It has no `map`.

use std::fmt;

use loky_benches::Result;

use crate::measure::Pool;

/// The number of concurrent calls. Each holds descriptors until it is over, and the usual limit of these is 1024.
const AT_ONCE: usize = 200;

pub(crate) struct Spawned(procspawn::Pool);

impl Pool for Spawned {
    fn start(n_workers: usize) -> Result<Self> {
        Ok(Self(procspawn::Pool::new(n_workers)?))
    }

    fn call(&mut self) -> Result<()> {
        Ok(self.0.spawn((), |()| ()).join()?)
    }

    fn collect(&mut self, n_calls: usize) -> Result<Option<()>> {
        for begin in (0..n_calls).step_by(AT_ONCE) {
            let n_now = AT_ONCE.min(n_calls - begin);
            let handles: Vec<_> = (0..n_now).map(|_| self.0.spawn((), |()| ())).collect();
            for handle in handles {
                handle.join()?;
            }
        }
        Ok(Some(()))
    }

    fn map(&mut self, _n_items: usize) -> Result<Option<()>> {
        Ok(None)
    }

    fn large(&mut self, data: Vec<u8>) -> Result<usize> {
        Ok(self.0.spawn(data, |data| data.len()).join()?)
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        self.0.shutdown();
    }
}

impl fmt::Debug for Spawned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spawned")
    }
}
