use super::calls::serve;
use crate::id::{CallId, Fingerprint};
use crate::registry::Table;
use crate::transport::memory::Memory;
use crate::wire::message::{self, CallFailure, FromWorker, Setup, VERSION};

/// What the call loop says when it is told this.
fn answers(told: &[Vec<u8>]) -> Vec<FromWorker> {
    let mut end = Memory::told(told);
    serve(&mut end).unwrap();
    end.said().into_iter().map(|frame| FromWorker::parse(frame).unwrap()).collect()
}

fn setup(version: u32, fingerprint: Fingerprint) -> Vec<u8> {
    Setup { version, index: 0, depth: 0, fingerprint }.to_bytes()
}

#[test]
fn a_call_begins_and_has_a_result() {
    let call = CallId(5);
    let said = answers(&[message::call(call, "loky.ping", &[])]);
    let [FromWorker::Began(began), FromWorker::Result(ended, _)] = &*said else {
        panic!("{said:?}")
    };
    assert_eq!((*began, *ended), (call, call));
}

#[test]
fn an_unknown_task_and_bad_arguments_are_failures_of_that_call() {
    let said = answers(&[
        message::call(CallId(1), "no.such", &[]),
        message::call(CallId(2), "loky.ping", &[0xff]),
        message::call(CallId(3), "loky.ping", &[]),
    ]);
    assert!(matches!(said[1], FromWorker::Failed(CallId(1), CallFailure::UnknownTask)));
    assert!(matches!(said[3], FromWorker::Failed(CallId(2), CallFailure::DecodeArgs(_))));
    assert!(matches!(said[5], FromWorker::Result(CallId(3), _)));
}

#[test]
fn hello_brings_the_table_only_where_it_differs() {
    let ours = Table::get().fingerprint();
    let other = Fingerprint { count: ours.count, hash: ours.hash ^ 1 };
    for (version, fingerprint, has_table) in
        [(VERSION, ours, false), (VERSION, other, true), (VERSION + 1, other, false)]
    {
        let said = answers(&[setup(version, fingerprint)]);
        let [FromWorker::Hello(hello)] = &*said else { panic!("{said:?}") };
        assert_eq!((hello.version, hello.fingerprint), (VERSION, ours));
        assert_eq!(hello.table.is_some(), has_table, "{version} {fingerprint:?}");
    }
}

#[test]
fn rubbish_from_the_pool_ends_the_loop() {
    let mut end = Memory::told(&[message::call(CallId(1), "loky.ping", &[])]);
    serve(&mut end).unwrap();
    let mut end = Memory::told(&[FromWorker::Began(CallId(1)).to_bytes()]);
    assert!(serve(&mut end).is_err());
}
