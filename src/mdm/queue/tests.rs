use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn command(uuid: &str, priority: Priority, second: i64) -> Queued {
    let queued_at = Timestamp::from_second(1_790_000_000 + second).unwrap();
    Queued { uuid: uuid.into(), priority, queued_at, state: State::Queued }
}

/// Runs one cycle; `answer` is what the device says to each command. Returns what was offered, in order.
fn run_cycle(queue: &mut Vec<Queued>, cycle: &mut Cycle, answer: impl Fn(&str) -> Option<Status>) -> Vec<String> {
    let mut offered = Vec::new();
    cycle.on_report(&Status::Idle, None);
    while let Some(index) = next(queue, cycle) {
        let uuid = queue[index].uuid.clone();
        cycle.on_offer(&uuid);
        queue[index].state = State::Sent;
        offered.push(uuid.clone());
        // None: the connection broke.
        let Some(status) = answer(&uuid) else { break };
        if status == Status::NotNow {
            queue[index].state = State::NotNow;
        } else {
            queue.remove(index);
        }
        cycle.on_report(&status, Some(&uuid));
        assert!(offered.len() <= 1000, "the cycle does not end");
    }
    offered
}

#[test]
fn questions_go_first_then_the_oldest() {
    let mut queue = vec![
        command("install-late", Priority::Install, 9),
        command("install-early", Priority::Install, 1),
        command("remove", Priority::Removal, 5),
        command("ask", Priority::Inventory, 8),
    ];
    let offered = run_cycle(&mut queue, &mut Cycle::default(), |_| Some(Status::Acknowledged));
    assert_eq!(offered, ["ask", "remove", "install-early", "install-late"]);
    assert!(queue.is_empty());
}

#[test]
fn a_command_without_result_is_offered_again_when_the_device_is_back() {
    let mut queue = vec![command("a", Priority::Install, 1), command("b", Priority::Install, 2)];
    let mut cycle = Cycle::default();
    assert_eq!(run_cycle(&mut queue, &mut cycle, |_| None), ["a"]);
    assert!(should_push_after(&cycle, &queue));
    assert_eq!(run_cycle(&mut queue, &mut cycle, |_| Some(Status::Acknowledged)), ["a", "b"]);
}

#[test]
fn a_device_that_put_off_the_last_command_comes_back_by_itself() {
    let mut queue = vec![command("a", Priority::Install, 1), command("b", Priority::Install, 2)];
    let mut cycle = Cycle::default();
    run_cycle(&mut queue, &mut cycle, |uuid| Some(if uuid == "b" { Status::NotNow } else { Status::Acknowledged }));
    assert!(!should_push_after(&cycle, &queue));
}

#[test]
fn a_device_that_went_on_after_putting_one_off_must_be_pushed() {
    let mut queue = vec![command("a", Priority::Install, 1), command("b", Priority::Install, 2)];
    let mut cycle = Cycle::default();
    let answer = |uuid: &str| Some(if uuid == "a" { Status::NotNow } else { Status::Acknowledged });
    run_cycle(&mut queue, &mut cycle, answer);
    assert!(should_push_after(&cycle, &queue));
    // In the next cycle the one that was put off goes last, and ends the cycle.
    queue.push(command("c", Priority::Install, 3));
    assert_eq!(run_cycle(&mut queue, &mut cycle, answer), ["c", "a"]);
    assert!(!should_push_after(&cycle, &queue));
}

#[test]
fn a_device_that_answers_what_was_never_asked_fills_no_memory() {
    let mut cycle = Cycle::default();
    for number in 0..5_000 {
        cycle.on_report(&Status::Acknowledged, Some(&number.to_string()));
    }
    assert_eq!(cycle.offered.len(), 0);
    for number in 0..5_000 {
        cycle.on_report(&Status::NotNow, Some(&number.to_string()));
    }
    assert!(cycle.offered.len() <= 1001);
    assert_eq!(next(&[command("a", Priority::Install, 1)], &cycle), None, "the cycle ends");
    cycle.on_report(&Status::Idle, None);
    assert_eq!(next(&[command("a", Priority::Install, 1)], &cycle), Some(0));
}

#[test]
fn nothing_left_needs_no_push() {
    assert!(!should_push_after(&Cycle::default(), &[]));
}

#[test]
fn a_put_off_command_is_not_offered_again_when_the_memory_of_the_cycle_is_lost() {
    let queue = vec![Queued { state: State::NotNow, ..command("a", Priority::Install, 1) }];
    let mut fresh = Cycle::default();
    fresh.on_report(&Status::NotNow, Some("a"));
    assert_eq!(next(&queue, &fresh), None);
}

#[derive(Debug, Clone, Copy)]
enum Habit {
    Done,
    Failed,
    Never,
    /// NotNow this many times, then done.
    Later(u8),
}

fn habit() -> impl Strategy<Value = Habit> {
    prop_oneof![Just(Habit::Done), Just(Habit::Failed), Just(Habit::Never), (1u8..5).prop_map(Habit::Later)]
}

fn priority() -> impl Strategy<Value = Priority> {
    prop_oneof![Just(Priority::Inventory), Just(Priority::Removal), Just(Priority::Install)]
}

fn answer(habit: Habit, cycle: usize) -> Status {
    match habit {
        Habit::Done => Status::Acknowledged,
        Habit::Failed => Status::Error,
        Habit::Never => Status::NotNow,
        Habit::Later(times) if cycle < usize::from(times) => Status::NotNow,
        Habit::Later(_) => Status::Acknowledged,
    }
}

fn queue_and_habits() -> impl Strategy<Value = (Vec<Queued>, HashMap<String, Habit>)> {
    prop::collection::vec((priority(), 0i64..50, habit()), 0..20).prop_map(|items| {
        let name = |index: usize| format!("c-{index}");
        let queue = items.iter().enumerate().map(|(i, item)| command(&name(i), item.0, item.1)).collect();
        let habits = items.iter().enumerate().map(|(i, item)| (name(i), item.2)).collect();
        (queue, habits)
    })
}

proptest! {
    #[test]
    fn a_cycle_offers_each_command_once_and_ends((mut queue, habits) in queue_and_habits()) {
        let length = queue.len();
        let offered = run_cycle(&mut queue, &mut Cycle::default(), |uuid| Some(answer(habits[uuid], 0)));
        let distinct: HashSet<_> = offered.iter().collect();
        prop_assert_eq!(distinct.len(), offered.len());
        prop_assert_eq!(offered.len(), length);
    }

    #[test]
    fn commands_put_off_for_ever_do_not_starve_the_others((mut queue, habits) in queue_and_habits()) {
        let mut cycle = Cycle::default();
        for round in 0..5 {
            run_cycle(&mut queue, &mut cycle, |uuid| Some(answer(habits[uuid], round)));
        }
        for left in &queue {
            prop_assert!(matches!(habits[&left.uuid], Habit::Never), "{} was never done", left.uuid);
        }
    }

    #[test]
    fn a_connection_that_breaks_after_each_command_costs_no_command((mut queue, habits) in queue_and_habits()) {
        // The device works on one command for each connection, and the reply to its result is lost.
        let mut cycle = Cycle::default();
        for round in 0..200 {
            cycle.on_report(&Status::Idle, None);
            let Some(index) = next(&queue, &cycle) else { break };
            let uuid = queue[index].uuid.clone();
            cycle.on_offer(&uuid);
            let status = answer(habits[&uuid], round);
            if status == Status::NotNow { queue[index].state = State::NotNow } else { queue.remove(index); }
            cycle.on_report(&status, Some(&uuid));
        }
        for left in &queue {
            // Without the rest of a cycle only the oldest of those put off is asked again.
            prop_assert!(matches!(habits[&left.uuid], Habit::Never | Habit::Later(_)), "{} was never done", left.uuid);
        }
    }

    #[test]
    fn the_order_in_which_commands_are_given_does_not_matter((queue, _) in queue_and_habits()) {
        let mut backwards = queue.clone();
        backwards.reverse();
        let cycle = Cycle::default();
        let first = next(&queue, &cycle).map(|index| queue[index].uuid.clone());
        prop_assert_eq!(first, next(&backwards, &cycle).map(|index| backwards[index].uuid.clone()));
    }
}
