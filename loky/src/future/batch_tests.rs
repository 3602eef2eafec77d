//! The cell of a batch without a pool: dividing, publishing and ending it, as futures, listeners and a map see it.

use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use super::listeners::notify_here;
use super::payload::Payload;
use super::*;
use crate::codec::{entries, output};
use crate::error::{Error, ErrorKind, Execution};
use crate::id::CallId;

const TASK: &str = "krate::task";

/// A pool that does nothing for its calls.
struct Idle;

impl Driver for Idle {
    fn wait(&self, _: CallId, waiter: &dyn Waiter, deadline: Option<Instant>) {
        waiter.park(None, deadline);
    }

    fn request_background_read(&self, _: CallId) {}

    fn cancel(&self, _: CallId, _: Option<u32>) -> Cancelled {
        Cancelled::No
    }

    fn running_in(&self, _: CallId, _: Option<u32>) -> Option<u32> {
        None
    }
}

/// The promise and the cell of a batch. Its pool is gone.
fn promise(number: u64) -> (Promise, Arc<OutcomeCell>) {
    let driver = DriverRef::new(Weak::<Idle>::new());
    Promise::new(TASK, &driver, CallId::nth(number))
}

/// The answers of calls from `first` on, which return these values.
fn answers(first: u32, values: impl IntoIterator<Item = u64>) -> Answers {
    let mut answers = Answers { first, ..Answers::none() };
    for value in values {
        let start = entries::begin(&mut answers.entries);
        ciborium::into_writer(&value, &mut answers.entries).unwrap();
        entries::finish(&mut answers.entries, start, false);
        answers.count += 1;
    }
    answers
}

fn value(value: u64) -> Outcome {
    let mut bytes = Vec::new();
    ciborium::into_writer(&value, &mut bytes).unwrap();
    Ok(bytes.into())
}

fn cancelled() -> Outcome {
    Err(Error::new(ErrorKind::Cancelled, "cancelled"))
}

fn futures(cell: &Arc<OutcomeCell>, count: u32) -> Vec<Future<u64>> {
    let call = |number| CallRef { cell: Arc::clone(cell), number: Some(number) };
    (0..count).map(|number| Future::new(call(number), output())).collect()
}

#[test]
fn each_future_gets_its_own_result_in_any_order() {
    let (promise, cell) = promise(1);
    let futures = futures(&cell, 5);
    assert!(futures.iter().all(|future| !future.is_done()));
    let mut answers = answers(0, 100..105);
    answers.failures = vec![(3, Error::new(ErrorKind::Panicked, "it has"))];
    notify_here(promise.resolve_batch(answers, None, Some(17)));
    for number in [4, 0, 2, 2, 1, 4, 3, 0] {
        let result = futures[number].result();
        match number {
            3 => assert!(result.unwrap_err().is_panicked()),
            _ => assert_eq!(result.unwrap(), 100 + number as u64),
        }
        assert_eq!((futures[number].is_done(), futures[number].worker_pid()), (true, Some(17)));
    }
}

/// Notes which callbacks have run.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(usize, u32)>>>);

impl Log {
    fn callback(&self, entry: (usize, u32)) -> impl FnOnce(Future<u64>) + Send + 'static {
        let log = self.clone();
        move |future| {
            assert!(future.is_done());
            log.0.lock().unwrap().push(entry);
        }
    }

    fn take(&self) -> Vec<(usize, u32)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Of five calls two are answered, one runs on, and two move to a batch that is divided in its turn.
#[test]
fn divided_batch_publishes_answers_and_moves_tail() {
    let (whole, cell) = promise(1);
    let (tail, tail_cell) = promise(2);
    let (last, last_cell) = promise(3);
    let futures = futures(&cell, 5);
    let log = Log::default();
    let mut watch = Watch::new();
    for (number, future) in futures.iter().enumerate() {
        future.add_done_callback(log.callback((number, 0)));
        future.add_done_callback(log.callback((number, 1)));
        watch.add(number, future.clone());
    }
    let done = || futures.iter().map(Future::is_done).collect::<Vec<_>>();

    assert_eq!(whole.move_tail(3, vec![(tail_cell, 2)]), [CallId::nth(2)], "it has listeners now");
    assert_eq!((done(), log.take()), (vec![false; 5], vec![]));
    notify_here(whole.publication().publish(answers(0, [10, 11]), Some(17)));
    assert_eq!(log.take(), [(0, 0), (0, 1), (1, 0), (1, 1)]);
    assert_eq!(done(), [true, true, false, false, false]);
    assert_eq!((watch.next(None).unwrap().0, watch.next(None).unwrap().0), (0, 1));
    assert!(!watch.is_ready());

    assert_eq!(tail.move_tail(1, vec![(last_cell, 1)]), [CallId::nth(3)]);
    notify_here(tail.publication().publish(Answers::none(), None));
    assert!(log.take().is_empty());
    notify_here(tail.resolve_batch(answers(0, [13]), None, Some(18)));
    assert_eq!(log.take(), [(3, 0), (3, 1)]);
    notify_here(whole.resolve_batch(answers(2, [12]), None, Some(17)));
    assert_eq!(log.take(), [(2, 0), (2, 1)]);
    // A callback that comes late finds the cell of its call by itself, and keeps its place in the order.
    futures[4].add_done_callback(log.callback((4, 2)));
    notify_here(last.resolve_batch(Answers::none(), Some(cancelled()), None));
    assert_eq!(log.take(), [(4, 0), (4, 1), (4, 2)]);

    let results: Vec<_> = futures[..4].iter().map(|future| future.result().unwrap()).collect();
    assert_eq!(results, [10, 11, 12, 13]);
    assert!(futures[4].is_cancelled() && !futures[3].is_cancelled());
    let pids: Vec<_> = futures.iter().map(Future::worker_pid).collect();
    assert_eq!(pids, [Some(17), Some(17), Some(17), Some(18), None]);
    let tokens: Vec<_> = std::iter::from_fn(|| Some(watch.next(None)?.0)).collect();
    assert_eq!(tokens, [3, 2, 4]);
}

/// Calls leave the end of a batch several times, while its answers are published bit by bit.
#[test]
fn later_division_publishes_more_and_moves_more() {
    let (whole, cell) = promise(1);
    let futures = futures(&cell, 9);
    let mut tails = Vec::new();
    for (number, end, count) in [(2, 7, 2), (3, 5, 2), (4, 4, 1)] {
        let (tail, cell) = promise(number);
        whole.move_tail(end, vec![(cell, count)]);
        tails.push((tail, u64::from(end), count));
    }
    for first in 0..3 {
        let value = u64::from(first);
        notify_here(whole.publication().publish(answers(first, [value]), Some(1)));
        assert_eq!(futures[first as usize].result().unwrap(), value);
    }
    assert_eq!(futures.iter().filter(|future| future.is_done()).count(), 3);
    notify_here(whole.resolve_batch(answers(3, [3]), None, Some(1)));
    for (tail, end, count) in tails {
        notify_here(tail.resolve_batch(answers(0, end..end + u64::from(count)), None, Some(2)));
    }
    let results: Vec<_> = futures.iter().map(|future| future.result().unwrap()).collect();
    assert_eq!(results, (0..9).collect::<Vec<_>>());
}

#[test]
fn end_without_answers_is_outcome_of_each_call() {
    let (promise, cell) = promise(1);
    let futures = futures(&cell, 3);
    notify_here(promise.resolve_batch(Answers::none(), Some(cancelled()), None));
    for future in futures {
        assert!(future.is_cancelled() && future.result().unwrap_err().is_cancelled());
        assert_eq!(future.worker_pid(), None);
    }
}

#[test]
fn end_behind_answers_leaves_answers_as_they_are() {
    let (promise, cell) = promise(1);
    let futures = futures(&cell, 4);
    let log = Log::default();
    (0..4).for_each(|number| futures[number].add_done_callback(log.callback((number, 0))));
    let mut listeners = promise.resolve_batch(answers(0, [7, 8]), Some(cancelled()), None).unwrap();
    let counts = (listeners.take_callbacks().len(), listeners.take_cancelled().len());
    assert_eq!(counts, (2, 2), "the callbacks of cancelled calls run elsewhere");
    assert_eq!([0, 1].map(|number: usize| futures[number].result().unwrap()), [7, 8]);
    assert!(futures[2..].iter().all(Future::is_cancelled));
    assert!(!futures[..2].iter().any(Future::is_cancelled));
}

/// Answers that were lost by a fault in the pool are not taken for those of other calls.
#[test]
fn lost_publication_is_error_of_its_calls() {
    let (promise, cell) = promise(1);
    let futures = futures(&cell, 3);
    drop(promise.publication());
    notify_here(promise.resolve_batch(answers(2, [2]), None, Some(1)));
    for future in &futures {
        assert!(future.result().unwrap_err().is_broken_process_pool());
    }
}

#[test]
fn end_that_forgets_calls_is_error_of_these() {
    let (promise, cell) = promise(1);
    let (_tail, tail_cell) = self::promise(2);
    let futures = futures(&cell, 3);
    promise.move_tail(2, vec![(tail_cell, 1)]);
    notify_here(promise.resolve_batch(answers(0, [5]), None, Some(1)));
    assert_eq!(futures[0].result().unwrap(), 5);
    assert!(futures[1].result().unwrap_err().is_broken_process_pool());
    assert!(!futures[2].is_done());
}

#[test]
fn lost_promise_leaves_published_answers() {
    let (promise, cell) = promise(1);
    let futures = futures(&cell, 2);
    notify_here(promise.publication().publish(answers(0, [5]), Some(1)));
    drop(promise);
    assert_eq!(futures[0].result().unwrap(), 5);
    assert!(futures[1].result().unwrap_err().is_broken_process_pool());
}

/// The bytes of a result that is too long for the others of its batch, and the futures of that batch.
fn batch_with_long_result() -> (Arc<Vec<u8>>, Vec<Future<u64>>) {
    let (promise, cell) = promise(1);
    let futures = futures(&cell, 2);
    let bytes = Arc::new(value(99).unwrap().to_vec());
    let last = Ok(Payload::Shared(Arc::clone(&bytes)));
    notify_here(promise.resolve_batch(answers(0, [1]), Some(last), Some(1)));
    (bytes, futures)
}

#[test]
fn into_result_releases_long_result_of_batch() {
    let (bytes, mut futures) = batch_with_long_result();
    assert_eq!(futures[1].result().unwrap(), 99);
    assert_eq!(Arc::strong_count(&bytes), 2, "it can be asked again");
    assert_eq!(futures.pop().unwrap().into_result().unwrap(), 99);
    assert_eq!(Arc::strong_count(&bytes), 1, "another future of the batch lives");
    assert_eq!(futures.pop().unwrap().into_result().unwrap(), 1);
}

#[test]
fn into_result_leaves_result_to_clones() {
    let (bytes, mut futures) = batch_with_long_result();
    let clone = futures[1].clone();
    assert_eq!(futures.pop().unwrap().into_result().unwrap(), 99);
    assert_eq!(clone.result().unwrap(), 99);
    drop((clone, futures));
    assert_eq!(Arc::strong_count(&bytes), 1);
}

/// The results that a map takes out of a part, and the sizes of the parts that are left.
fn take(part: MapPart<u64>) -> (Vec<Option<u64>>, Vec<MapPart<u64>>) {
    let Ok(PartResult::Many(results, rest)) = part.take(None) else { panic!("it is a batch") };
    let length = results.len();
    let results: Vec<_> = results.map(Result::ok).collect();
    assert_eq!(results.len(), length);
    (results, rest)
}

fn sizes(parts: &[MapPart<u64>]) -> Vec<usize> {
    parts.iter().map(MapPart::count).collect()
}

#[test]
fn map_takes_published_results_and_then_the_others() {
    let (whole, cell) = promise(1);
    let (tail, tail_cell) = promise(2);
    let part = MapPart::new(cell, output(), 6);
    let part = part.take(Some(crate::clock::now())).err().expect("nothing is there");
    whole.move_tail(4, vec![(tail_cell, 2)]);
    notify_here(whole.publication().publish(answers(0, [0, 1]), Some(1)));
    let (results, mut rest) = take(part);
    assert_eq!((results, sizes(&rest)), (vec![Some(0), Some(1)], vec![2, 2]));

    notify_here(tail.resolve_batch(answers(0, [4, 5]), None, Some(1)));
    let (results, none) = take(rest.pop().unwrap());
    assert_eq!((results, none.len()), (vec![Some(4), Some(5)], 0));

    let mut last = answers(2, [2]);
    last.failures = vec![(2, Error::new(ErrorKind::Panicked, "it has"))];
    notify_here(whole.resolve_batch(last, Some(value(3)), Some(1)));
    let (results, none) = take(rest.pop().unwrap());
    assert_eq!((results, none.len()), (vec![None, Some(3)], 0));
}

#[test]
fn map_takes_error_of_whole_batch_for_each_call() {
    let (promise, cell) = promise(1);
    let part = MapPart::new(cell, output(), 3);
    notify_here(promise.resolve_batch(Answers::none(), Some(cancelled()), None));
    assert_eq!(take(part).0, [None; 3]);
    let (promise, cell) = self::promise(1);
    let part = MapPart::new(cell, output(), 3);
    drop(promise);
    assert_eq!(take(part).0, [None; 3]);
}

/// The first of five calls runs long, so the others move. A part in a watch has no answer then, but parts to watch.
#[track_caller]
fn check_watched_part(is_divided_first: bool) {
    let (whole, cell) = promise(1);
    let (tail, tail_cell) = promise(2);
    let mut watch = Watch::new();
    let divide = || {
        assert!(whole.move_tail(1, vec![(Arc::clone(&tail_cell), 4)]).is_empty());
        notify_here(whole.publication().publish(Answers::none(), None));
    };
    let part = MapPart::<u64>::new(Arc::clone(&cell), output(), 5);
    if is_divided_first {
        divide();
        watch.add(0, part);
    } else {
        watch.add(0, part);
        assert!(!watch.is_ready());
        divide();
    }
    let (_, part) = watch.next(None).unwrap();
    let PartResult::Many(results, parts) = part.take_arrived() else { panic!("a batch") };
    assert_eq!((results.len(), sizes(&parts)), (0, vec![1, 4]));
    for (token, part) in [0, 1].into_iter().zip(parts) {
        watch.add(token, part);
    }
    assert!(!watch.is_ready(), "no call has an answer");
    notify_here(tail.resolve_batch(answers(0, 101..105), None, Some(17)));
    assert_eq!(watch.next(None).unwrap().0, 1);
    assert!(!watch.is_ready(), "the first call is pending");
    notify_here(whole.resolve_batch(answers(0, [100]), None, Some(17)));
    assert_eq!(watch.next(None).unwrap().0, 0);
}

#[test]
fn watched_part_whose_first_call_runs_long_yields_its_tail() {
    check_watched_part(false);
    check_watched_part(true);
}

/// A batch ends behind its first answer, since the other calls are cancelled: no process has begun these.
#[test]
fn cancelled_call_of_begun_batch_has_no_process() {
    let (promise, cell) = promise(1);
    let futures = futures(&cell, 3);
    let never = cancelled().map_err(|error| error.with_execution(Execution::NotStarted));
    notify_here(promise.resolve_batch(answers(0, [7]), Some(never), Some(17)));
    let pids: Vec<_> = futures.iter().map(Future::worker_pid).collect();
    assert_eq!(pids, [Some(17), None, None]);
}
