//! Batches: division, answers, revocation, order in the queue, and the end of a draining pool.

use super::*;

const SHORT: Duration = Duration::from_micros(1);

/// Two ready workers in a pool that knows calls to be short, so that it prefetches.
fn prefetching_pair() -> Pool {
    let mut pool = Pool::ready(2, CrashPolicy::Heal);
    let first = pool.submit();
    check(&mut pool, &["1 to 2"]);
    pool.finish(2, first, SHORT);
    pool
}

#[test]
fn slow_batch_is_divided_and_tail_runs_first() {
    let mut pool = Pool::ready(2, CrashPolicy::Heal);
    let held = pool.submit();
    let batch = pool.submit_batch(9);
    assert_eq!(pool.actions().len(), 2);
    let later = pool.submit();
    assert_eq!((pool.scheduler.queued(), pool.scheduler.queued_calls()), (1, 1));
    pool.pass(limits::REVOKE_AFTER);
    let Some(CallState::Dispatched(worker)) = pool.scheduler.call_state(batch) else {
        panic!("not dispatched")
    };
    let divided = Action::Divide { worker, call: batch };
    assert_eq!(shorthand(&pool.actions()), shorthand(&[divided]));

    let tail = pool.ids.part(batch, 4);
    pool.scheduler.batch_divided(batch, 1, Some((tail, 5)));
    pool.scheduler.advance(pool.now);
    assert_eq!(pool.scheduler.call_state(batch), Some(CallState::Dispatched(worker)));
    assert_eq!((pool.scheduler.queued(), pool.scheduler.queued_calls()), (2, 6));
    let Some(CallState::Dispatched(other)) = pool.scheduler.call_state(held) else {
        panic!("not dispatched")
    };
    pool.finish(other.0, held, limits::REVOKE_AFTER);
    let next = Action::Dispatch { worker: other, call: tail };
    assert_eq!(shorthand(&pool.actions()), shorthand(&[next]), "before {later:?}");
}

/// A divided batch leaves its worker with an ordinary call, behind which nothing waits.
#[test]
fn batch_division_retires_idle_worker_of_draining_pool() {
    let mut pool = Pool::ready(2, CrashPolicy::Heal);
    let batch = pool.submit_batch(9);
    pool.actions();
    pool.scheduler.shutdown(pool.now, Shutdown::Wait);
    check(&mut pool, &[]); // The batch may still be divided for the idle worker.
    let Some(CallState::Dispatched(worker)) = pool.scheduler.call_state(batch) else {
        panic!("not dispatched")
    };
    pool.pass(limits::REVOKE_AFTER);
    pool.actions();
    pool.scheduler.batch_divided(batch, 1, None);
    pool.scheduler.advance(pool.now);
    check(&mut pool, &[&format!("retire {}", 3 - worker.0)]);
}

#[test]
fn batch_answer_retires_idle_worker_of_draining_pool() {
    let mut pool = prefetching_pair();
    let (held, batch, behind) = (pool.submit(), pool.submit_batch(9), pool.submit());
    check(&mut pool, &["2 to 2", "3 to 1", "12 to 1"]);
    pool.finish(2, held, SHORT);
    pool.scheduler.shutdown(pool.now, Shutdown::Wait);
    check(&mut pool, &[]); // The batch may still be divided for the idle worker.
    pool.finish(1, batch, SHORT);
    check(&mut pool, &["retire 2"]);
    pool.finish(1, behind, SHORT);
    check(&mut pool, &["retire 1"]);
}

#[test]
fn batch_revocation_retires_idle_worker_of_draining_pool() {
    let mut pool = prefetching_pair();
    let (held, _long, batch) = (pool.submit(), pool.submit(), pool.submit_batch(9));
    check(&mut pool, &["2 to 2", "3 to 1", "4 to 1"]);
    pool.finish(2, held, SHORT);
    pool.pass(limits::REVOKE_AFTER);
    pool.actions();
    pool.scheduler.call_revoked(pool.now, batch);
    pool.scheduler.advance(pool.now);
    check(&mut pool, &["4 to 2"]);
    pool.finish(2, batch, SHORT);
    pool.scheduler.shutdown(pool.now, Shutdown::Wait);
    check(&mut pool, &["retire 2"]);
}

/// Returns the calls that are dispatched now, in order.
fn dispatched(pool: &mut Pool) -> Vec<CallId> {
    let actions = pool.actions().into_iter();
    actions
        .filter_map(|action| match action {
            Action::Dispatch { call, .. } => Some(call),
            _ => None,
        })
        .collect()
}

/// An early call does not wait for later ones, which may be slow, even if these return to the queue first.
#[test]
fn divided_batches_requeue_in_submission_order() {
    let mut pool = prefetching_pair();
    let (early, late) = (pool.submit_batch(9), pool.submit_batch(9));
    check(&mut pool, &["2 to 2", "11 to 1"]);
    let (early_rest, late_rest) = (pool.ids.part(early, 1), pool.ids.part(late, 6));
    pool.scheduler.batch_divided(early, 1, Some((early_rest, 8)));
    pool.scheduler.batch_divided(late, 1, Some((late_rest, 3)));
    pool.finish(2, early, SHORT);
    assert_eq!(dispatched(&mut pool).first(), Some(&early_rest));
}

#[test]
fn worker_death_requeues_calls_in_submission_order() {
    let mut pool = prefetching_pair();
    let (batch, _held) = (pool.submit_batch(9), pool.submit());
    check(&mut pool, &["2 to 2", "11 to 1"]);
    let (_, behind) = (pool.submit(), pool.submit());
    check(&mut pool, &["12 to 1", "13 to 2"]);
    let rest = pool.ids.part(batch, 3);
    pool.scheduler.batch_divided(batch, 1, Some((rest, 6)));
    pool.crash(WorkerId(2), &[batch]);
    assert_eq!(dispatched(&mut pool), [rest, behind]);
}

/// The slow call before the batch was cancelled before it began, so its worker must not stay marked as slow.
#[test]
fn slow_batch_after_cancelled_calls_is_divided() {
    let mut pool = Pool::after_call(SHORT);
    let [first, second] = [(); 2].map(|()| pool.submit());
    check(&mut pool, &["2 to 1", "3 to 1"]);
    pool.pass(limits::REVOKE_AFTER);
    check(&mut pool, &["3 revoked from 1"]);
    for call in [second, first] {
        pool.scheduler.call_revoked(pool.now, call);
        pool.scheduler.cancel(pool.now, call);
    }
    pool.actions();
    (0..2).for_each(|_| pool.scheduler.call_skipped(pool.now, WorkerId(1)));
    pool.submit_batch(9);
    check(&mut pool, &["4 to 1"]);
    pool.pass(limits::REVOKE_AFTER);
    check(&mut pool, &["4 divided at 1"]);
}

/// The parts of a queued batch stay at its position, whatever waits behind it.
#[test]
fn queued_batch_is_divided_in_its_place() {
    let mut pool = Pool::ready(1, CrashPolicy::Heal);
    let running = pool.submit();
    let (batch, later) = (pool.submit_batch(9), pool.submit());
    check(&mut pool, &["1 to 1"]);
    let parts = [5, 7].map(|first| (pool.ids.part(batch, first), 2));
    pool.scheduler.batch_divided(batch, 4, parts);
    assert_eq!((pool.scheduler.queued(), pool.scheduler.queued_calls()), (4, 9));
    let mut order = Vec::new();
    let mut last = running;
    for _ in 0..4 {
        pool.finish(1, last, limits::REVOKE_AFTER);
        let [next] = dispatched(&mut pool)[..] else { panic!("one call at a time") };
        order.push(next);
        last = next;
    }
    assert_eq!(order, [batch, parts[0].0, parts[1].0, later]);
}
