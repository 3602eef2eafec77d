//! The README's recipe for tests, as a test: an example in documentation is no `#[test]` and would not run.

use loky_tests::repository::read;

#[loky::task]
fn double(x: u64) -> u64 {
    2 * x
}

#[test]
fn worker_doubles_number() {
    let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build().unwrap();
    assert_eq!(executor.submit(double, 21).result().unwrap(), 42);
}

#[test]
fn recipe_equals_code_above() {
    let recipe = read("README.md");
    let recipe = recipe.split("loky::enable_test_support!();\n\n").nth(1).expect("the recipe");
    let recipe = recipe.split("```").next().expect("split yields one");
    assert!(include_str!("readme.rs").contains(recipe), "README.md shows other code:\n{recipe}");
    assert!(recipe.contains("#[test]"), "the recipe has no test:\n{recipe}");
}
