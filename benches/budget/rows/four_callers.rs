//! Four concurrent callers on two workers, each of which waits for each of its calls: their total of calls per second.
//!
//! Reference: four threads that exchange messages with two echo processes. Each thread has a socket of its own, and each socket has
//! a thread at its other end, so threads wait for answers and CPUs only. The subject has less: four callers share two
//! workers. So the row has no budget. Its ratio shows the cost of sharing.

use loky_benches::{
    Blocks, EchoProcess, Effort, Place, Result, Unit, calls_per_second, interleave, ping_pong,
};

use super::{Row, executor, noop};

/// The row.
pub(crate) const ROW: Row = Row::new("four callers", measure);

const N_CALLERS: usize = 4;

fn measure(effort: &Effort, place: &Place) -> Result<Blocks> {
    let executor = executor(2, place)?;
    let start = EchoProcess::start_with_two_sockets;
    let echoes = place.on_other_side(|| Ok([start()?, start()?]))?;
    let submit = || Ok(executor.submit(noop, ()).result()?);
    let sockets = || echoes.iter().flat_map(EchoProcess::sockets);
    interleave(
        Unit::PerSecond,
        effort.blocks,
        || calls_per_second(effort.block_time, vec![submit; N_CALLERS]),
        || {
            let callers = sockets().map(|socket| || ping_pong(socket)).collect();
            calls_per_second(effort.block_time, callers)
        },
    )
}
