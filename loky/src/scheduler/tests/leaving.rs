//! Retirement: idleness, vacancies, lingering workers, `max_tasks` and memory growth.

use super::*;

/// Longer than all limits that also apply.
const IDLE: Duration = Duration::from_secs(10);

fn idling(max_workers: usize) -> Pool {
    let idle_timeout = Some(IDLE);
    Pool::ready_with(max_workers, Rules { idle_timeout, ..Rules::default() })
}

#[test]
fn idle_workers_retire_after_idle_timeout() {
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

/// A pool whose workers have all left for idleness.
fn empty_pool(max_workers: usize) -> Pool {
    let mut pool = idling(max_workers);
    pool.pass(IDLE);
    for worker in 1..=max_workers as u64 {
        pool.exit(WorkerId(worker));
    }
    pool.actions();
    pool
}

#[test]
fn queued_calls_fill_vacancies_one_by_one() {
    let mut pool = empty_pool(3);
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
fn death_is_replaced_and_idle_exit_is_not() {
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
fn call_during_idle_exit_waits_for_replacement() {
    let mut pool = idling(2);
    pool.pass(IDLE);
    check(&mut pool, &["retire 1", "retire 2"]);
    let call = pool.submit();
    check(&mut pool, &[]); // Two workers still live.
    pool.exit(WorkerId(2));
    check(&mut pool, &["start 3 as 1"]);
    pool.scheduler.worker_ready(pool.now, WorkerId(3));
    check(&mut pool, &["1 to 3"]);
    pool.finish(3, call, LONG);
    pool.exit(WorkerId(1));
    check(&mut pool, &[]);
}

#[test]
fn vacancy_is_filled_before_leaving_worker_exits() {
    let mut pool = empty_pool(2);
    let call = pool.submit();
    pool.scheduler.worker_ready(pool.now, WorkerId(3));
    pool.finish(3, call, LONG);
    pool.pass(IDLE);
    pool.submit();
    check(&mut pool, &["start 3 as 0", "1 to 3", "retire 3", "start 4 as 1"]);
}

#[test]
fn prewarm_starts_all_workers_and_suspends_idle_timeout() {
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

    let mut pool = empty_pool(2);
    pool.scheduler.prewarm(pool.now);
    check(&mut pool, &["start 3 as 0", "start 4 as 1"]);
}

#[test]
fn resize_preserves_vacancies() {
    let mut pool = empty_pool(4);
    pool.scheduler.resize(pool.now, 2);
    check(&mut pool, &[]);
    pool.scheduler.resize(pool.now, 3);
    check(&mut pool, &["start 5 as 0", "start 6 as 1", "start 7 as 2"]);

    let mut pool = empty_pool(4);
    pool.submit_many(2);
    pool.actions();
    pool.scheduler.resize(pool.now, 3);
    check(&mut pool, &[]);
    pool.exit(WorkerId(5));
    check(&mut pool, &["start 7 as 0"]);
}

#[test]
fn shutdown_of_empty_pool_finishes_accepted_call() {
    let mut pool = empty_pool(2);
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
fn lingering_worker_has_no_deadline_in_draining_pool_only() {
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

    // The shutdown may come after `worker_lingers`.
    let mut pool = idling(1);
    pool.pass(IDLE);
    pool.scheduler.worker_lingers(WorkerId(1));
    pool.pass(limits::LEAVE / 2);
    pool.scheduler.shutdown(pool.now, Shutdown::Wait);
    pool.pass(100 * limits::LEAVE);
    check(&mut pool, &["retire 1"]);
}

#[test]
fn idle_worker_stays_while_calls_wait_behind_slow_one() {
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
    check(&mut pool, &["2 revoked from 1"]);
    pool.scheduler.call_revoked(pool.now, CallId::nth(2));
    pool.scheduler.advance(pool.now);
    check(&mut pool, &["2 to 2"]);
}

fn limited(max_workers: usize, max_tasks: usize) -> Pool {
    let max_tasks = Some(max_tasks);
    Pool::ready_with(max_workers, Rules { max_tasks, ..Rules::default() })
}

#[test]
fn max_tasks_replaces_worker() {
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
fn prefetch_stays_within_max_tasks() {
    let mut pool = limited(1, 4);
    let call = pool.submit();
    pool.finish(1, call, Duration::ZERO);
    pool.actions();
    pool.submit_many(9);
    check(&mut pool, &["2 to 1", "3 to 1", "4 to 1"]);
    // Revoked calls do not count.
    pool.pass(limits::REVOKE_AFTER);
    check(&mut pool, &["4 revoked from 1", "3 revoked from 1"]);
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
fn memory_growth_replaces_worker_after_running_call() {
    let mut pool = Pool::after_call(Duration::ZERO);
    pool.submit_many(3);
    check(&mut pool, &["2 to 1", "3 to 1", "4 to 1"]);
    pool.scheduler.worker_over_memory_limit(pool.now, WorkerId(1));
    check(&mut pool, &["4 revoked from 1", "3 revoked from 1"]);
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
