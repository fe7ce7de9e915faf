//! Stacks beside each other.

use ketch::model::observed::Observed;
use ketch::testing::{Stack, block_on};

use super::{WEB, blueprint};
use crate::place::Place;

#[test]
fn stacks_of_one_project_share_nothing() {
    for place in Place::all("stack-many") {
        let names = std::thread::scope(|scope| {
            let stacks: Vec<_> = (0..4)
                .map(|number| {
                    scope.spawn({
                        let blueprint = blueprint(&place, WEB);
                        move || own_data(number, &block_on(blueprint.up()).unwrap())
                    })
                })
                .collect();
            stacks.into_iter().map(|it| it.join().unwrap()).collect::<Vec<_>>()
        });
        for name in &names {
            assert_eq!(place.observe(name), Observed::default(), "nothing of {name} is left");
        }
    }
}

/// Writes and reads what no other stack has.
fn own_data(number: usize, stack: &Stack) -> String {
    let web = stack.service("web");
    let write = format!("test ! -e /data/mine && echo {number} >/data/mine");
    block_on(web.exec(["sh", "-c", &write])).unwrap().success().unwrap();
    let read = block_on(web.exec(["cat", "/data/mine"])).unwrap().success().unwrap();
    assert_eq!(read, format!("{number}\n"));
    stack.name().to_owned()
}
