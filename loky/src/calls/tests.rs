//! The table against a `BTreeMap`, stale ids, and the memory that it returns.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use fastrand::Rng;

#[test]
fn stale_id_finds_nothing() {
    let (mut ids, mut map) = (CallIds::default(), CallMap::default());
    let old = ids.next();
    map.insert(old, "old");
    assert_eq!(map.remove(&old), Some("old"));
    ids.release(old);
    let new = ids.next();
    assert_eq!(new.index, old.index, "the index is used again");
    assert!(new > old, "the number is not");
    map.insert(new, "new");
    assert_eq!((map.get(&old), map.get(&new)), (None, Some(&"new")));
    assert_eq!(map.get_mut(&old), None);
    assert_eq!(map.remove(&old), None);
    assert_eq!((map.remove(&new), map.len()), (Some("new"), 0));
}

#[test]
fn end_of_burst_frees_chunks() {
    let (mut ids, mut map) = (CallIds::default(), CallMap::default());
    let calls: Vec<_> = (0..100 * CHUNK).map(|_| ids.next()).collect();
    calls.iter().for_each(|id| map.insert(*id, ()));
    let n_chunks = |map: &CallMap<()>| map.chunks.iter().flatten().count();
    assert_eq!(n_chunks(&map), 100);
    let (stays, leave) = calls.split_last().expect("calls");
    for id in leave {
        map.remove(id);
        ids.release(*id);
    }
    assert_eq!(n_chunks(&map), 2, "the first chunk, and the one with the last call");
    map.remove(stays);
    ids.release(*stays);
    assert_eq!((n_chunks(&map), map.chunks.len(), map.is_empty()), (1, 1, true));
    assert!(ids.free.capacity() <= KEPT_CAPACITY, "the free list shrinks");
    assert_eq!(ids.next().index, 0);
}

#[test]
fn map_agrees_with_btree_map_under_random_operations() {
    let mut random = Rng::with_seed(1);
    let (mut ids, mut map) = (CallIds::default(), CallMap::default());
    let mut model = BTreeMap::new();
    let mut gone = Vec::new();
    for round in 0..20_000 {
        // Phases of growth and of shrinking alternate.
        if random.usize(..100) < if round / 500 % 2 == 0 { 70 } else { 30 } {
            let id = ids.next();
            map.insert(id, round);
            model.insert(id, round);
        } else if !model.is_empty() {
            let id = *model.keys().nth(random.usize(..model.len())).expect("one of them");
            assert_eq!(map.remove(&id), model.remove(&id));
            ids.release(id);
            gone.push(id);
        }
        assert_eq!(map.len(), model.len());
        if round % 100 == 0 {
            assert!(model.iter().all(|(id, value)| map.get(id) == Some(value)));
            assert!(gone.iter().all(|id| map.get(id).is_none()));
            let all: BTreeMap<_, _> = map.iter().map(|(id, value)| (id, *value)).collect();
            assert_eq!(all, model);
            let indices: BTreeSet<_> = model.keys().map(|id| id.index).collect();
            assert_eq!(indices.len(), model.len(), "each call has an index of its own");
        }
    }
}

#[test]
fn batch_reserves_a_number_for_each_call() {
    let mut ids = CallIds::default();
    let (batch, next) = (ids.next_batch(3), ids.next());
    assert_eq!(next.number, batch.number + 3);
    assert!(!ids.extend(batch, 3), "the next number belongs to another call");
    let part = ids.part(batch, 2);
    assert!(part.number == batch.number + 2 && part.index != batch.index);

    let open = ids.next_batch(1);
    assert!(ids.extend(open, 1) && ids.extend(open, 2));
    assert_eq!(ids.next().number, open.number + 3);
}
