use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::random::Random;

#[test]
fn an_old_id_finds_nothing() {
    let (mut ids, mut map) = (CallIds::default(), CallMap::default());
    let old = ids.next();
    map.insert(old, "old");
    assert_eq!(map.remove(&old), Some("old"));
    ids.release(old);
    let new = ids.next();
    assert_eq!(new.place, old.place, "the place is used again");
    assert!(new > old, "the number is not");
    map.insert(new, "new");
    assert_eq!((map.get(&old), map.get(&new)), (None, Some(&"new")));
    assert_eq!(map.get_mut(&old), None);
    assert_eq!(map.remove(&old), None);
    assert_eq!((map.remove(&new), map.len()), (Some("new"), 0));
}

#[test]
fn memory_goes_back_with_the_calls() {
    let (mut ids, mut map) = (CallIds::default(), CallMap::default());
    let calls: Vec<_> = (0..100 * PAGE).map(|_| ids.next()).collect();
    calls.iter().for_each(|id| map.insert(*id, ()));
    let n_pages = |map: &CallMap<()>| map.pages.iter().flatten().count();
    assert_eq!(n_pages(&map), 100);
    let (stays, leave) = calls.split_last().expect("calls");
    for id in leave {
        map.remove(id);
        ids.release(*id);
    }
    assert_eq!(n_pages(&map), 2, "the first, and the one with the last call");
    map.remove(stays);
    ids.release(*stays);
    assert_eq!((n_pages(&map), map.pages.len(), map.is_empty()), (1, 1, true));
    assert!(ids.free.capacity() <= FEW, "nothing is remembered of the burst");
    assert_eq!(ids.next().place, 0);
}

#[test]
fn calls_come_and_go_in_any_order() {
    let mut random = Random::new(1);
    let (mut ids, mut map) = (CallIds::default(), CallMap::default());
    let mut model = BTreeMap::new();
    let mut gone = Vec::new();
    for round in 0..20_000 {
        // Now more come, now more go.
        if random.below(100) < if round / 500 % 2 == 0 { 70 } else { 30 } {
            let id = ids.next();
            map.insert(id, round);
            model.insert(id, round);
        } else if !model.is_empty() {
            let id = *model.keys().nth(random.below(model.len())).expect("one of them");
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
            let places: BTreeSet<_> = model.keys().map(|id| id.place).collect();
            assert_eq!(places.len(), model.len(), "a place for each");
        }
    }
}

#[test]
fn each_call_of_a_chunk_has_a_number() {
    let mut ids = CallIds::default();
    let (chunk, next) = (ids.next_chunk(3), ids.next());
    assert_eq!(next.number, chunk.number + 3);
    assert!(!ids.extend(chunk, 3), "the next number is another's");
    let part = ids.part(chunk, 2);
    assert!(part.number == chunk.number + 2 && part.place != chunk.place);

    let open = ids.next_chunk(1);
    assert!(ids.extend(open, 1) && ids.extend(open, 2));
    assert_eq!(ids.next().number, open.number + 3);
}
