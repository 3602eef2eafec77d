use std::rc::Rc;

use super::gather::Gathering;
use super::pace::{Bounds, Pace};
use super::source::{Items, Source};
use super::*;
use crate::clock;
use crate::error::{Error, ErrorKind};
use crate::task;

#[track_caller]
fn check(chunksize: Option<usize>, window: Option<usize>, usable: usize, expected: [usize; 2]) {
    let bounds = Pace { chunksize, window }.bounds(usable, 2, 1);
    let [window, chunk] = expected;
    assert_eq!(bounds, Bounds { window, chunk });
}

#[test]
fn open_bounds_follow_usable_calls_of_executor() {
    // Two workers: the least that it can use are 8 calls.
    check(None, None, 8, [8, 1]);
    check(None, None, 11, [11, 1]);
    check(None, None, 256, [256, 124]);
    check(None, None, 1, [1, 1]);
    // A window by hand is filled one by one, to the last call.
    check(None, Some(1000), 8, [1000, 1]);
    check(None, Some(1000), 256, [1000, 1]);
    check(None, Some(2), 256, [2, 1]);
    // Chunks by hand: one for each worker, and one more.
    check(Some(1), None, 8, [8, 1]);
    check(Some(10), None, 8, [30, 10]);
    check(Some(10), None, 256, [256, 10]);
    check(Some(usize::MAX), None, 8, [usize::MAX; 2]);
    check(Some(10), Some(20), 256, [20, 10]);
    check(Some(10), Some(3), 256, [3, 3]);
}

#[test]
fn calls_of_one_batch_are_a_chunk() {
    let bounds = |pace: Pace, together| {
        let Bounds { window, chunk } = pace.bounds(256, 2, together);
        [window, chunk]
    };
    assert_eq!(bounds(Pace::default(), 2), [256, 2]);
    assert_eq!(bounds(Pace::default(), 250), [1500, 250]);
    assert_eq!(bounds(Pace { window: Some(100), chunksize: None }, 250), [100, 1]);
    assert_eq!(bounds(Pace { window: None, chunksize: Some(10) }, 250), [1500, 10]);
}

#[test]
fn zero_is_error_that_names_it() {
    let message = |chunksize, window| {
        Pace { chunksize, window }.check().map_err(|error| error.to_string()).err()
    };
    assert_eq!(message(None, None), None);
    assert_eq!(message(Some(1), Some(1)), None);
    let error = |name| Some(format!("`{name}` must be greater than 0"));
    assert_eq!(message(Some(0), Some(1)), error("chunksize"));
    assert_eq!(message(Some(1), Some(0)), error("window"));
}

fn items(count: u64) -> impl Source {
    Items { items: 0..count, task: Ok(task::refused::<u64, u64>()), segments: None }
}

#[test]
fn source_takes_as_many_items_as_asked() {
    let mut calls = Gathering::new("task", 1);
    let mut source = items(10);
    assert!(source.take(3, None, &mut calls));
    assert_eq!((calls.len(), source.size_hint()), (3, (7, Some(7))));
    assert!(source.take(7, None, &mut calls), "that nothing is left is not known yet");
    assert!(!source.take(1, None, &mut calls));
    assert!(calls.len() == 10 && calls.finish().iter().all(Result::is_ok));
}

#[test]
fn source_ends_chunk_when_time_is_over() {
    let mut calls = Gathering::new("task", 1);
    let passed = Some(clock::now());
    assert!(items(10).take(10, passed, &mut calls));
    assert_eq!(calls.len(), 1, "one in any case");
    let far = clock::deadline(Some(std::time::Duration::from_secs(1000)));
    assert!(!items(10).take(100, far, &mut calls));
    assert_eq!(calls.len(), 11);
}

#[test]
fn source_without_task_fails_each_item() {
    let error = Error::new(ErrorKind::NotATask, "no task");
    let task = Err::<task::Task<u64, u64>, _>(error);
    let mut source = Items { items: 0..3, task, segments: None };
    let mut calls = Gathering::new("task", 1);
    assert!(!source.take(5, None, &mut calls));
    assert_eq!(calls.len(), 3);
    assert!(calls.finish().iter().all(|call| call.as_ref().is_err_and(Error::is_not_a_task)));
}

#[test]
fn maps_are_send() {
    fn check<T: Send>() {}
    check::<Map<'_, Rc<()>>>();
    check::<MapUnordered<'_, Rc<()>>>();
}
