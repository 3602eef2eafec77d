//! Four callers at once, each of which waits for each of its calls: calls in a second of them together, on two workers.
//!
//! Reference: four threads that exchange messages with two other processes, two with each. Each thread has a socket of its
//! own and each socket a thread at its other end, so nobody waits for anything but an answer and a CPU. That is more than
//! the subject has, where four callers share two workers; so there is no budget, but the ratio shows what they lose to each
//! other.

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
