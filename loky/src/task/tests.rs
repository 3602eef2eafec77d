use super::*;
use crate::codec::{Attachments, argument};
use crate::unwind;
use std::sync::OnceLock;

fn run<A, R>(
    args: &[u8],
    body: impl FnOnce(A) -> R,
    input: ValueCodec<A>,
    out: ValueCodec<R>,
) -> (Ran, Vec<u8>) {
    let mut result = EncodedValue::default();
    let run = Run::new(args, Attachments::new(), &mut result, None);
    let ran = run.task(|args| args.take(input), body, out);
    (ran, result.bytes)
}

fn encoded<T>(codec: ValueCodec<T>, value: &T) -> Vec<u8> {
    let mut args = EncodedArgs::default();
    args.put(codec, value).unwrap();
    args.into_value().bytes
}

#[test]
fn call_decodes_runs_and_encodes() {
    let args = encoded(argument::<u64>(), &20);
    let (ran, bytes) = run(&args, |x: u64| x + 1, argument(), output());
    ran.unwrap();
    assert_eq!(output::<u64>().decode_all(&bytes, &Attachments::new()), Ok(21));
}

#[test]
fn failed_step_is_named() {
    let rubbish = run(&[0xff], |x: u64| x, argument(), output()).0;
    assert!(matches!(rubbish, Err(Failure::DecodeArgs(_))));

    let mut two = encoded(argument::<u64>(), &1);
    two.extend(encoded(argument::<u64>(), &2));
    let left_over = run(&two, |x: u64| x, argument(), output()).0;
    assert!(
        matches!(left_over, Err(Failure::DecodeArgs(CodecError(text))) if text.contains("1 bytes"))
    );

    let args = encoded(argument::<u64>(), &1);
    let panicked = run(&args, |_: u64| -> u64 { panic!("boom") }, argument(), output()).0;
    let Err(Failure::Panicked(payload)) = panicked else { panic!("{panicked:?}") };
    assert_eq!(unwind::into_text(payload), "boom");
}

#[test]
fn raw_identifier_is_named_without_its_mark() {
    fn item() -> Item {
        Item { path: "krate::r#mod::r#fn", ..item_of(&()) }
    }
    fn never(_: Run<'_>) -> Ran {
        unreachable!("this entry is not run")
    }
    let entry = TaskEntry {
        item,
        explicit_name: None,
        plain_path: OnceLock::new(),
        signature: "() -> ()",
        file: "",
        line: 0,
        run: never,
        typed: &(),
    };
    assert_eq!(entry.name(), "krate::mod::fn");
    assert!(std::ptr::eq(entry.name(), entry.name()), "kept once");
}
