use super::*;

/// Long enough that nothing else has to do with it.
const IDLE: Duration = Duration::from_secs(10);

fn idling(max_workers: usize) -> Pool {
    let idle_timeout = Some(IDLE);
    Pool::ready_with(max_workers, Rules { idle_timeout, ..Rules::default() })
}

#[test]
fn those_that_have_nothing_to_do_leave_each_in_its_time() {
    let mut pool = idling(3);
    pool.pass(IDLE / 2);
    let call = pool.submit();
    check(&mut pool, &["1 to 3"]);
    assert_eq!(pool.scheduler.next_timer(), Some(pool.now + IDLE / 2));
    pool.pass(IDLE / 2);
    check(&mut pool, &["retire 1", "retire 2"]);
    pool.exit(WorkerId(1));
    pool.exit(WorkerId(2));
    pool.finish(3, call, LONG);
    pool.pass(IDLE - Duration::from_millis(1));
    check(&mut pool, &[]);
    pool.pass(Duration::from_millis(1));
    check(&mut pool, &["retire 3"]);
    pool.exit(WorkerId(3));
    check(&mut pool, &[]);
}

/// All workers have left.
fn asleep(max_workers: usize) -> Pool {
    let mut pool = idling(max_workers);
    pool.pass(IDLE);
    for worker in 1..=max_workers as u64 {
        pool.exit(WorkerId(worker));
    }
    pool.actions();
    pool
}

#[test]
fn as_many_come_back_as_calls_need() {
    let mut pool = asleep(3);
    let first = pool.submit();
    check(&mut pool, &["start 4 as 0"]);
    pool.submit();
    check(&mut pool, &["start 5 as 1"]);
    pool.scheduler.worker_ready(pool.now, WorkerId(4));
    check(&mut pool, &["1 to 4"]);
    pool.scheduler.worker_ready(pool.now, WorkerId(5));
    check(&mut pool, &["2 to 5"]);
    pool.finish(4, first, LONG);
    pool.submit();
    check(&mut pool, &["3 to 4"]);
    pool.submit_many(5);
    check(&mut pool, &["start 6 as 2"]);
}

#[test]
fn one_that_dies_is_replaced_and_one_that_has_left_is_not() {
    let mut pool = idling(2);
    pool.submit();
    pool.pass(IDLE);
    check(&mut pool, &["1 to 2", "retire 1"]);
    pool.exit(WorkerId(1));
    check(&mut pool, &[]);
    pool.crash(WorkerId(2), &[CallId::nth(1)]);
    check(&mut pool, &["1 terminated, began true in 2", "start 3 as 0"]);
}

#[test]
fn a_call_that_comes_while_workers_leave_gets_another() {
    let mut pool = idling(2);
    pool.pass(IDLE);
    check(&mut pool, &["retire 1", "retire 2"]);
    let call = pool.submit();
    check(&mut pool, &[]); // There may be no third.
    pool.exit(WorkerId(2));
    check(&mut pool, &["start 3 as 1"]);
    pool.scheduler.worker_ready(pool.now, WorkerId(3));
    check(&mut pool, &["1 to 3"]);
    pool.finish(3, call, LONG);
    pool.exit(WorkerId(1));
    check(&mut pool, &[]);
}

#[test]
fn a_leaving_worker_s_place_is_not_waited_for_where_there_is_another() {
    let mut pool = asleep(2);
    let call = pool.submit();
    pool.scheduler.worker_ready(pool.now, WorkerId(3));
    pool.finish(3, call, LONG);
    pool.pass(IDLE);
    pool.submit();
    check(&mut pool, &["start 3 as 0", "1 to 3", "retire 3", "start 4 as 1"]);
}

#[test]
fn all_are_there_at_once_when_somebody_waits_for_that() {
    let mut pool = idling(2);
    pool.pass(IDLE / 2);
    pool.scheduler.prewarm(pool.now);
    assert!(pool.scheduler.is_prewarming());
    pool.pass(2 * IDLE);
    check(&mut pool, &[]);
    assert_eq!(pool.scheduler.next_timer(), None);
    pool.scheduler.end_prewarm(pool.now);
    pool.pass(IDLE - Duration::from_millis(1));
    check(&mut pool, &[]);
    pool.pass(Duration::from_millis(1));
    check(&mut pool, &["retire 1", "retire 2"]);

    let mut pool = asleep(2);
    pool.scheduler.prewarm(pool.now);
    check(&mut pool, &["start 3 as 0", "start 4 as 1"]);
}

#[test]
fn resizing_counts_those_that_have_left() {
    let mut pool = asleep(4);
    pool.scheduler.resize(pool.now, 2);
    check(&mut pool, &[]);
    pool.scheduler.resize(pool.now, 3);
    check(&mut pool, &["start 5 as 0", "start 6 as 1", "start 7 as 2"]);

    let mut pool = asleep(4);
    pool.submit_many(2);
    pool.actions();
    pool.scheduler.resize(pool.now, 3);
    check(&mut pool, &[]);
    pool.exit(WorkerId(5));
    check(&mut pool, &["start 7 as 0"]);
}

#[test]
fn what_was_accepted_is_finished_although_all_have_left() {
    let mut pool = asleep(2);
    pool.submit();
    pool.scheduler.shutdown(pool.now, Shutdown::NoWait);
    check(&mut pool, &["start 3 as 0"]);
    pool.exit(WorkerId(3));
    check(&mut pool, &["start 4 as 0"]);
    pool.scheduler.worker_ready(pool.now, WorkerId(4));
    pool.finish(4, CallId::nth(1), LONG);
    check(&mut pool, &["1 to 4", "retire 4"]);
    pool.exit(WorkerId(4));
    check(&mut pool, &["end"]);
}

#[test]
fn one_that_lingers_is_waited_for_at_the_end_alone() {
    let mut pool = idling(1);
    pool.pass(IDLE);
    pool.scheduler.worker_lingers(WorkerId(1));
    pool.pass(limits::LEAVE);
    check(&mut pool, &["retire 1", "kill 1"]);

    let mut pool = idling(1);
    pool.scheduler.shutdown(pool.now, Shutdown::Wait);
    pool.scheduler.worker_lingers(WorkerId(1));
    pool.pass(100 * limits::LEAVE);
    check(&mut pool, &["retire 1"]);
    pool.scheduler.shutdown(pool.now, Shutdown::Kill);
    check(&mut pool, &["kill 1"]);
    pool.exit(WorkerId(1));
    check(&mut pool, &["end"]);

    // The end may come after it was said.
    let mut pool = idling(1);
    pool.pass(IDLE);
    pool.scheduler.worker_lingers(WorkerId(1));
    pool.pass(limits::LEAVE / 2);
    pool.scheduler.shutdown(pool.now, Shutdown::Wait);
    pool.pass(100 * limits::LEAVE);
    check(&mut pool, &["retire 1"]);
}

#[test]
fn nobody_leaves_while_calls_wait_behind_a_long_one() {
    let rules = Rules { idle_timeout: Some(Duration::ZERO), depth: Some(2), ..Rules::default() };
    let mut pool = Pool::with(2, rules);
    pool.scheduler.prewarm(pool.now);
    pool.actions();
    pool.scheduler.worker_ready(pool.now, WorkerId(1));
    pool.submit_many(2);
    check(&mut pool, &["1 to 1", "2 to 1"]);
    pool.scheduler.worker_ready(pool.now, WorkerId(2));
    pool.scheduler.end_prewarm(pool.now);
    pool.pass(limits::REVOKE_AFTER / 2);
    check(&mut pool, &[]);
    pool.pass(limits::REVOKE_AFTER / 2);
    check(&mut pool, &["2 back from 1"]);
    pool.scheduler.call_revoked(pool.now, CallId::nth(2));
    pool.scheduler.advance(pool.now);
    check(&mut pool, &["2 to 2"]);
}

fn limited(max_workers: usize, max_tasks: usize) -> Pool {
    let max_tasks = Some(max_tasks);
    Pool::ready_with(max_workers, Rules { max_tasks, ..Rules::default() })
}

#[test]
fn one_that_has_done_enough_is_replaced() {
    let mut pool = limited(1, 2);
    pool.submit_many(3);
    check(&mut pool, &["1 to 1"]);
    pool.finish(1, CallId::nth(1), LONG);
    check(&mut pool, &["2 to 1"]);
    pool.finish(1, CallId::nth(2), LONG);
    check(&mut pool, &["retire 1"]);
    pool.exit(WorkerId(1));
    check(&mut pool, &["start 2 as 0"]);
    pool.scheduler.worker_ready(pool.now, WorkerId(2));
    check(&mut pool, &["3 to 2"]);
}

#[test]
fn it_is_given_no_more_ahead_than_it_may_do() {
    let mut pool = limited(1, 4);
    let call = pool.submit();
    pool.finish(1, call, Duration::ZERO);
    pool.actions();
    pool.submit_many(9);
    check(&mut pool, &["2 to 1", "3 to 1", "4 to 1"]);
    // What is taken back does not count.
    pool.pass(limits::REVOKE_AFTER);
    check(&mut pool, &["4 back from 1", "3 back from 1"]);
    for call in [4, 3] {
        pool.scheduler.call_revoked(pool.now, CallId::nth(call));
    }
    pool.finish(1, CallId::nth(2), LONG);
    check(&mut pool, &["3 to 1"]);
    pool.finish(1, CallId::nth(3), LONG);
    check(&mut pool, &["4 to 1"]);
    pool.finish(1, CallId::nth(4), LONG);
    check(&mut pool, &["retire 1"]);
}

#[test]
fn one_that_has_grown_too_much_does_its_call_and_is_replaced() {
    let mut pool = Pool::stocked(Duration::ZERO);
    pool.submit_many(3);
    check(&mut pool, &["2 to 1", "3 to 1", "4 to 1"]);
    pool.scheduler.worker_over_memory_limit(pool.now, WorkerId(1));
    check(&mut pool, &["4 back from 1", "3 back from 1"]);
    for call in [4, 3] {
        pool.scheduler.call_revoked(pool.now, CallId::nth(call));
    }
    pool.scheduler.advance(pool.now);
    check(&mut pool, &[]);
    pool.finish(1, CallId::nth(2), Duration::ZERO);
    check(&mut pool, &["retire 1"]);
    pool.exit(WorkerId(1));
    check(&mut pool, &["start 2 as 0"]);
    pool.scheduler.worker_ready(pool.now, WorkerId(2));
    check(&mut pool, &["3 to 2", "4 to 2"]);

    let mut idle = Pool::ready(1, CrashPolicy::Heal);
    idle.scheduler.worker_over_memory_limit(idle.now, WorkerId(1));
    check(&mut idle, &["retire 1"]);
}
