//! loky's pool.

use std::iter::repeat_n;

use loky::ProcessPoolExecutor;
use loky_benches::Result;

use crate::measure::Pool;

#[derive(Debug)]
pub(crate) struct Workers(ProcessPoolExecutor);

#[loky::task]
fn noop() {}

#[loky::task]
fn len_of(data: Vec<u8>) -> usize {
    data.len()
}

impl Pool for Workers {
    fn start(n_workers: usize) -> Result<Self> {
        Ok(Self(ProcessPoolExecutor::builder().max_workers(n_workers).build()?))
    }

    fn call(&mut self) -> Result<()> {
        Ok(self.0.submit(noop, ()).result()?)
    }

    fn collect(&mut self, n_calls: usize) -> Result<Option<()>> {
        let futures: Vec<_> = (0..n_calls).map(|_| self.0.submit(noop, ())).collect();
        for future in futures {
            future.result()?;
        }
        Ok(Some(()))
    }

    fn map(&mut self, n_items: usize) -> Result<Option<()>> {
        for result in self.0.map(noop, repeat_n((), n_items)) {
            result?;
        }
        Ok(Some(()))
    }

    fn large(&mut self, data: Vec<u8>) -> Result<usize> {
        Ok(self.0.submit(len_of, data).result()?)
    }
}
