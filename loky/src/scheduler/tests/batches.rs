//! Chunks: divided, answered, taken back; and when there is nothing more to be had from a worker that has one.

use super::*;

const SHORT: Duration = Duration::from_micros(1);

/// Two workers, who are given calls ahead of time.
fn two_for_short_calls() -> Pool {
    let mut pool = Pool::ready(2, CrashPolicy::Heal);
    let first = pool.submit();
    check(&mut pool, &["1 to 2"]);
    pool.finish(2, first, SHORT);
    pool
}

/// Of a chunk that runs for long what has not begun goes to the front of the queue, and from there to others.
#[test]
fn a_chunk_that_takes_long_is_divided() {
    let mut pool = Pool::ready(2, CrashPolicy::Heal);
    let held = pool.submit();
    let chunk = pool.submit_chunk(9);
    assert_eq!(pool.actions().len(), 2);
    let later = pool.submit();
    assert_eq!((pool.scheduler.queued(), pool.scheduler.queued_calls()), (1, 1));
    pool.pass(limits::REVOKE_AFTER);
    let Some(CallState::Dispatched(worker)) = pool.scheduler.call_state(chunk) else {
        panic!("it runs")
    };
    let divided = Action::Divide { worker, call: chunk };
    assert_eq!(shorthand(&pool.actions()), shorthand(&[divided]));

    let [running, tail] = [3, 4].map(|first| pool.ids.part(chunk, first));
    pool.scheduler.chunk_divided(chunk, running, Some((tail, 5)));
    pool.scheduler.advance(pool.now);
    assert_eq!(pool.scheduler.call_state(chunk), None);
    assert_eq!(pool.scheduler.call_state(running), Some(CallState::Dispatched(worker)));
    assert_eq!((pool.scheduler.queued(), pool.scheduler.queued_calls()), (2, 6));
    let Some(CallState::Dispatched(other)) = pool.scheduler.call_state(held) else {
        panic!("it runs")
    };
    pool.finish(other.0, held, limits::REVOKE_AFTER);
    let next = Action::Dispatch { worker: other, call: tail };
    assert_eq!(shorthand(&pool.actions()), shorthand(&[next]), "before {later:?}");
}

/// What its worker is left with is a call as any: there is nothing more to be had from there.
#[test]
fn who_is_idle_leaves_a_pool_that_drains_once_a_chunk_is_divided() {
    let mut pool = Pool::ready(2, CrashPolicy::Heal);
    let chunk = pool.submit_chunk(9);
    pool.actions();
    pool.scheduler.shutdown(pool.now, Shutdown::Wait);
    check(&mut pool, &[]); // There may be something for the other one.
    let Some(CallState::Dispatched(worker)) = pool.scheduler.call_state(chunk) else {
        panic!("it runs")
    };
    pool.pass(limits::REVOKE_AFTER);
    pool.actions();
    let running = pool.ids.part(chunk, 8);
    pool.scheduler.chunk_divided(chunk, running, None);
    pool.scheduler.advance(pool.now);
    check(&mut pool, &[&format!("retire {}", 3 - worker.0)]);
}

/// Nor is there once a chunk is answered, whatever lay behind it.
#[test]
fn who_is_idle_leaves_a_pool_that_drains_once_a_chunk_is_answered() {
    let mut pool = two_for_short_calls();
    let (held, chunk, behind) = (pool.submit(), pool.submit_chunk(9), pool.submit());
    check(&mut pool, &["2 to 2", "3 to 1", "12 to 1"]);
    pool.finish(2, held, SHORT);
    pool.scheduler.shutdown(pool.now, Shutdown::Wait);
    check(&mut pool, &[]); // There may be something for the other one.
    pool.finish(1, chunk, SHORT);
    check(&mut pool, &["retire 2"]);
    pool.finish(1, behind, SHORT);
    check(&mut pool, &["retire 1"]);
}

/// Nor where what is taken back from behind a single call was a chunk.
#[test]
fn who_is_idle_leaves_a_pool_that_drains_once_a_chunk_is_taken_back() {
    let mut pool = two_for_short_calls();
    let (held, _long, chunk) = (pool.submit(), pool.submit(), pool.submit_chunk(9));
    check(&mut pool, &["2 to 2", "3 to 1", "4 to 1"]);
    pool.finish(2, held, SHORT);
    pool.pass(limits::REVOKE_AFTER);
    pool.actions();
    pool.scheduler.call_revoked(pool.now, chunk);
    pool.scheduler.advance(pool.now);
    check(&mut pool, &["4 to 2"]);
    pool.finish(2, chunk, SHORT);
    pool.scheduler.shutdown(pool.now, Shutdown::Wait);
    check(&mut pool, &["retire 2"]);
}

/// Those that are given to workers now, in their order.
fn given(pool: &mut Pool) -> Vec<CallId> {
    let actions = pool.actions().into_iter();
    actions
        .filter_map(|action| match action {
            Action::Dispatch { call, .. } => Some(call),
            _ => None,
        })
        .collect()
}

/// A call that was submitted before others does not wait for these, which may take long, whenever they come back.
#[test]
fn what_comes_back_is_queued_in_the_order_in_which_it_was_submitted() {
    let mut pool = two_for_short_calls();
    let (early, late) = (pool.submit_chunk(9), pool.submit_chunk(9));
    check(&mut pool, &["2 to 2", "11 to 1"]);
    let [early_one, early_rest] = [0, 1].map(|first| pool.ids.part(early, first));
    let [late_one, late_rest] = [5, 6].map(|first| pool.ids.part(late, first));
    pool.scheduler.chunk_divided(early, early_one, Some((early_rest, 8)));
    pool.scheduler.chunk_divided(late, late_one, Some((late_rest, 3)));
    pool.finish(2, early_one, SHORT);
    assert_eq!(given(&mut pool).first(), Some(&early_rest));
}

#[test]
fn what_a_worker_that_dies_leaves_is_queued_in_its_order() {
    let mut pool = two_for_short_calls();
    let (chunk, _held) = (pool.submit_chunk(9), pool.submit());
    check(&mut pool, &["2 to 2", "11 to 1"]);
    let (_, behind) = (pool.submit(), pool.submit());
    check(&mut pool, &["12 to 1", "13 to 2"]);
    let [running, rest] = [2, 3].map(|first| pool.ids.part(chunk, first));
    pool.scheduler.chunk_divided(chunk, running, Some((rest, 6)));
    pool.crash(WorkerId(2), &[running]);
    assert_eq!(given(&mut pool), [rest, behind]);
}

/// Also where the worker has not begun anything of what it had before, and that was cancelled.
#[test]
fn a_chunk_is_divided_whatever_was_taken_back_from_its_worker() {
    let mut pool = Pool::stocked(SHORT);
    let [first, second] = [(); 2].map(|()| pool.submit());
    check(&mut pool, &["2 to 1", "3 to 1"]);
    pool.pass(limits::REVOKE_AFTER);
    check(&mut pool, &["3 back from 1"]);
    for call in [second, first] {
        pool.scheduler.call_revoked(pool.now, call);
        pool.scheduler.cancel(pool.now, call);
    }
    pool.actions();
    (0..2).for_each(|_| pool.scheduler.call_skipped(pool.now, WorkerId(1)));
    pool.submit_chunk(9);
    check(&mut pool, &["4 to 1"]);
    pool.pass(limits::REVOKE_AFTER);
    check(&mut pool, &["4 divided at 1"]);
}
