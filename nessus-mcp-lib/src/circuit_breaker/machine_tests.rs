use proptest::{collection::vec, prelude::*};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn settings() -> CircuitSettings {
    CircuitSettings::default()
        .with_failures(4)
        .with_failure_rate(50, 8, 10 * SECOND)
        .with_open_time(4 * SECOND, 20 * SECOND)
        .with_half_open(2, 2, 6 * SECOND)
}

/// Gives the same numbers to the machine and the model.
fn numbers() -> Jitter {
    let mut given = 0_u32;
    Box::new(move || {
        given += 37;
        f64::from(given % 100) / 100.0
    })
}

struct Circuit {
    machine: Machine,
    now: Instant,
}

impl Circuit {
    fn new(settings: CircuitSettings) -> Self {
        let now = Instant::now();
        Self { machine: Machine::new(settings, now, Box::new(|| 1.0)), now }
    }

    fn tell(&mut self, event: Event) -> Effects {
        self.machine.on_event(self.now, event)
    }

    fn ask(&mut self) -> Result<Ticket, Rejection> {
        self.tell(Event::Asked).answer.unwrap()
    }

    fn call(&mut self, outcome: CallOutcome) {
        let ticket = self.ask().unwrap();
        let _ = self.tell(Event::Ended { ticket, outcome });
    }

    fn fail(&mut self, times: u32) {
        for _ in 0..times {
            self.call(CallOutcome::failure("no answer"));
        }
    }

    fn command(&mut self, command: CircuitCommand) {
        let _ = self.tell(Event::Commanded { command, reason: "an operator".to_owned() });
    }

    #[track_caller]
    fn is(&self, state: CircuitState) {
        assert_eq!(self.machine.state(), state, "{:?}", self.machine);
    }
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_open_and_successes_close() {
    let mut circuit = Circuit::new(settings());
    circuit.fail(3);
    circuit.call(CallOutcome::Ignored);
    circuit.is(CircuitState::Closed);
    circuit.fail(1);
    circuit.is(CircuitState::Open);
    let rejection = circuit.ask().unwrap_err();
    assert_eq!((rejection.state, rejection.retry_after), (CircuitState::Open, Some(4 * SECOND)));
    assert!(rejection.reason.contains("4 calls in a row failed, the last: no answer"), "{rejection:?}");

    circuit.now += 4 * SECOND;
    let (first, second) = (circuit.ask().unwrap(), circuit.ask().unwrap());
    circuit.is(CircuitState::HalfOpen);
    assert_eq!(circuit.ask().unwrap_err().state, CircuitState::HalfOpen, "two permits, no more");
    let _ = circuit.tell(Event::Ended { ticket: first, outcome: CallOutcome::Success });
    circuit.is(CircuitState::HalfOpen);
    let _ = circuit.tell(Event::Ended { ticket: second, outcome: CallOutcome::Success });
    circuit.is(CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_share_of_failures_opens_from_a_minimum_of_calls_on_and_expires_when_idle() {
    let mut circuit = Circuit::new(settings());
    for _ in 0..3 {
        circuit.call(CallOutcome::Success);
        circuit.fail(1);
    }
    circuit.now += 11 * SECOND;
    circuit.call(CallOutcome::Success);
    circuit.fail(1);
    circuit.is(CircuitState::Closed);
    for _ in 0..3 {
        circuit.call(CallOutcome::Success);
        circuit.fail(1);
    }
    circuit.is(CircuitState::Open);
    assert!(circuit.machine.reason().contains("4 of the last 8 calls"), "{}", circuit.machine.reason());
}

#[tokio::test(start_paused = true)]
async fn the_open_time_doubles_up_to_its_limit_and_is_forgotten_after_a_quiet_while() {
    let mut circuit = Circuit::new(settings());
    circuit.fail(4);
    for expected in [4, 8, 16, 20, 20] {
        assert_eq!(circuit.machine.left(circuit.now), expected * SECOND);
        circuit.now += expected * SECOND;
        circuit.fail(1);
        circuit.is(CircuitState::Open);
    }
    circuit.command(CircuitCommand::Close);
    circuit.fail(4);
    assert_eq!(circuit.machine.left(circuit.now), 20 * SECOND, "it failed again at once");
    circuit.command(CircuitCommand::Close);
    circuit.now += 20 * SECOND;
    circuit.fail(4);
    assert_eq!(circuit.machine.left(circuit.now), 4 * SECOND);
    circuit.command(CircuitCommand::Reset);
    circuit.fail(4);
    assert_eq!(circuit.machine.left(circuit.now), 4 * SECOND, "a reset forgets");
}

#[tokio::test(start_paused = true)]
async fn jitter_uses_the_whole_range_but_never_gives_nothing() {
    for (number, millis) in [(0.0, 400), (0.5, 2000), (0.999, 3996), (7.0, 4000)] {
        let now = Instant::now();
        let mut machine = Machine::new(settings(), now, Box::new(move || number));
        for _ in 0..4 {
            let Some(Ok(ticket)) = machine.on_event(now, Event::Asked).answer else { panic!("{machine:?}") };
            let _ = machine.on_event(now, Event::Ended { ticket, outcome: CallOutcome::failure("x") });
        }
        assert_eq!(machine.left(now).as_millis(), millis, "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_scanner_that_says_when_to_come_back_is_not_called_before_then() {
    let mut circuit = Circuit::new(settings());
    circuit.call(CallOutcome::Failure { reason: "HTTP 429".to_owned(), retry_after: Some(60 * SECOND) });
    circuit.now += 10 * SECOND;
    circuit.fail(3);
    assert_eq!(circuit.machine.left(circuit.now), 50 * SECOND);
    circuit.command(CircuitCommand::Reset);
    let endless = CallOutcome::Failure { reason: "HTTP 429".to_owned(), retry_after: Some(Duration::MAX) };
    for _ in 0..4 {
        circuit.call(endless.clone());
    }
    assert_eq!(circuit.machine.left(circuit.now), 3600 * SECOND, "but not for ever");
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_state_allowed_counts_as_nothing() {
    let mut circuit = Circuit::new(settings());
    let late = [circuit.ask().unwrap(), circuit.ask().unwrap()];
    circuit.fail(4);
    let left = circuit.machine.left(circuit.now);
    circuit.now += SECOND;
    let _ = circuit.tell(Event::Ended { ticket: late[0], outcome: CallOutcome::failure("late") });
    assert_eq!(circuit.machine.left(circuit.now) + SECOND, left, "it does not prolong the open time");
    circuit.now += left;
    let trial = circuit.ask().unwrap();
    let _ = circuit.tell(Event::Ended { ticket: late[1], outcome: CallOutcome::Success });
    let _ = circuit.tell(Event::Ended { ticket: trial, outcome: CallOutcome::Success });
    circuit.is(CircuitState::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn dropped_permits_do_not_leak_and_a_trial_that_hangs_ends() {
    let mut circuit = Circuit::new(settings());
    circuit.fail(4);
    circuit.now += 4 * SECOND;
    for _ in 0..50 {
        let ticket = circuit.ask().unwrap();
        assert!(!circuit.tell(Event::Dropped { ticket }).changed);
    }
    let hanging = circuit.ask().unwrap();
    circuit.now += 6 * SECOND;
    assert!(circuit.tell(Event::Ticked).changed);
    circuit.is(CircuitState::Open);
    assert_eq!(circuit.machine.left(circuit.now), 4 * SECOND, "nothing failed: the time does not grow");
    let _ = circuit.tell(Event::Dropped { ticket: hanging });
    circuit.is(CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn tries_of_one_call_count_each() {
    let mut circuit = Circuit::new(settings());
    let ticket = circuit.ask().unwrap();
    for _ in 0..3 {
        let _ = circuit.tell(Event::Tried { ticket, outcome: CallOutcome::failure("x") });
    }
    circuit.is(CircuitState::Closed);
    let _ = circuit.tell(Event::Ended { ticket, outcome: CallOutcome::failure("x") });
    circuit.is(CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_makes_unusable_until_reset_or_reconfigured() {
    for cure in [Event::Commanded { command: CircuitCommand::Reset, reason: String::new() }, Event::Reconfigured] {
        let mut circuit = Circuit::new(settings());
        circuit.call(CallOutcome::LoginRefused { reason: "refused".to_owned() });
        circuit.is(CircuitState::Unusable);
        circuit.now += 1_000_000 * SECOND;
        circuit.command(CircuitCommand::Close);
        let rejection = circuit.ask().unwrap_err();
        assert_eq!((rejection.retry_after, &*rejection.reason), (None, "refused"));
        let _ = circuit.tell(cure);
        circuit.is(CircuitState::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn that_another_was_refused_is_believed_by_who_was_never_let_in() {
    let refused = || Event::RefusedElsewhere { reason: "another was refused".to_owned() };
    for cure in [Event::Commanded { command: CircuitCommand::Reset, reason: String::new() }, Event::Reconfigured] {
        let mut circuit = Circuit::new(settings());
        let _ = circuit.tell(refused());
        circuit.now += 1_000_000 * SECOND;
        let rejection = circuit.ask().unwrap_err();
        assert_eq!((rejection.state, &*rejection.reason), (CircuitState::Unusable, "another was refused"));
        assert_eq!(circuit.machine.refusals(), 0, "it has not tried itself");
        let _ = circuit.tell(cure.clone());
        circuit.call(CallOutcome::LoginRefused { reason: "refused".to_owned() });
        assert!(!circuit.tell(refused()).changed, "it knows already");
        assert_eq!((circuit.machine.reason(), circuit.machine.refusals()), ("refused", 1));

        let _ = circuit.tell(Event::Reconfigured);
        circuit.call(CallOutcome::Success);
        assert!(!circuit.tell(refused()).changed, "it was let in");
        let _ = circuit.tell(cure);
        assert!(circuit.tell(refused()).changed, "but with the former login");
    }
    let mut circuit = Circuit::new(settings());
    circuit.fail(4);
    assert!(circuit.tell(refused()).changed, "an outage says nothing about the login");
    circuit.command(CircuitCommand::Isolate);
    assert!(!circuit.tell(refused()).changed, "an isolation stays one");
}

#[tokio::test(start_paused = true)]
async fn an_isolated_circuit_yields_to_an_operator_only() {
    let mut circuit = Circuit::new(settings());
    circuit.command(CircuitCommand::Isolate);
    circuit.now += 1_000_000 * SECOND;
    assert!(!circuit.tell(Event::Reconfigured).changed);
    assert_eq!(circuit.ask().unwrap_err().reason, "an operator");
    circuit.command(CircuitCommand::Close);
    assert!(circuit.ask().is_ok());
}

/// What happens to a circuit in a random run.
#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Ask,
    End { which: usize, outcome: u8 },
    Try { which: usize },
    Drop { which: usize },
    Command(CircuitCommand),
    Reconfigure,
    RefusedElsewhere,
}

/// A circuit in a few words: it remembers every call of its state, and counts them anew each time.
struct Model {
    settings: CircuitSettings,
    begin: Instant,
    jitter: Jitter,
    state: CircuitState,
    entered: Instant,
    until: Option<Instant>,
    /// When each call that counted in this state ended, and whether it failed.
    calls: Vec<(Instant, bool)>,
    under_way: usize,
    openings: u32,
    state_number: u64,
    let_in: bool,
}

impl Model {
    fn enter(&mut self, now: Instant, state: CircuitState, until: Option<Instant>) {
        (self.state, self.until, self.entered) = (state, until, now);
        self.calls.clear();
        self.under_way = 0;
        self.state_number += 1;
    }

    fn open(&mut self, now: Instant) {
        if self.state == CircuitState::Closed && now - self.entered >= self.settings.max_open {
            self.openings = 0;
        }
        let mut longest = self.settings.open;
        for _ in 0..self.openings {
            longest = (longest * 2).min(self.settings.max_open);
        }
        let randomised = longest.mul_f64((self.jitter)()).max(longest / 10);
        self.openings += 1;
        self.enter(now, CircuitState::Open, Some(now + randomised));
    }

    fn expire(&mut self, now: Instant) {
        if self.state == CircuitState::HalfOpen && self.until.is_some_and(|until| now >= until) {
            self.openings = self.openings.saturating_sub(1);
            self.open(now);
        }
    }

    fn ask(&mut self, now: Instant) -> bool {
        let over = self.until.is_some_and(|until| now >= until);
        match self.state {
            CircuitState::Closed => true,
            CircuitState::HalfOpen => {
                let free = self.under_way < self.settings.half_open_permits as usize;
                self.under_way += usize::from(free);
                free
            }
            CircuitState::Open if over => {
                self.enter(now, CircuitState::HalfOpen, Some(now + self.settings.max_half_open));
                self.under_way = 1;
                true
            }
            _ => false,
        }
    }

    fn ended(&mut self, now: Instant, outcome: u8) {
        match outcome {
            0 | 1 => self.calls.push((now, outcome == 1)),
            2 => return,
            _ => {
                self.let_in = false;
                return self.enter(now, CircuitState::Unusable, None);
            }
        }
        self.let_in |= outcome == 0;
        if self.state == CircuitState::HalfOpen {
            if outcome == 1 {
                self.open(now);
            } else if self.calls.len() >= self.settings.half_open_successes as usize {
                self.enter(now, CircuitState::Closed, None);
            }
            return;
        }
        let in_a_row = self.calls.iter().rev().take_while(|(_, failed)| *failed).count();
        let part = |at: Instant| (at - self.window_begin()).as_millis() / 1000;
        let counting: Vec<_> = self.calls.iter().filter(|(at, _)| part(*at) + 10 > part(now)).collect();
        let failed = counting.iter().filter(|(_, failed)| *failed).count();
        let rate = counting.len() >= self.settings.minimum_calls as usize && failed * 2 >= counting.len();
        if outcome == 1 && (in_a_row >= self.settings.failures as usize || rate) {
            self.open(now);
        }
    }

    /// The window's parts are counted from when the circuit was closed.
    fn window_begin(&self) -> Instant {
        if self.state_number == 0 { self.begin } else { self.entered }
    }
}

fn outcome_of(number: u8) -> CallOutcome {
    match number {
        0 => CallOutcome::Success,
        1 => CallOutcome::failure("no answer"),
        2 => CallOutcome::Ignored,
        _ => CallOutcome::LoginRefused { reason: "refused".to_owned() },
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let command = prop_oneof![
        Just(CircuitCommand::Isolate),
        Just(CircuitCommand::Close),
        Just(CircuitCommand::Reset),
        Just(CircuitCommand::Close)
    ];
    let outcome = prop_oneof![5 => Just(0_u8), 8 => Just(1_u8), 2 => Just(2_u8), 1 => Just(3_u8)];
    let step = prop_oneof![
        5 => (0..3000_u64).prop_map(Step::Pass),
        14 => Just(Step::Ask),
        12 => (any::<usize>(), outcome).prop_map(|(which, outcome)| Step::End { which, outcome }),
        2 => any::<usize>().prop_map(|which| Step::Try { which }),
        2 => any::<usize>().prop_map(|which| Step::Drop { which }),
        1 => command.prop_map(Step::Command),
        1 => Just(Step::Reconfigure),
        1 => Just(Step::RefusedElsewhere),
    ];
    vec(step, 1..250)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever happens in whatever order, the machine does what the model does.
    #[test]
    fn the_machine_does_what_a_model_does_that_counts_everything_anew(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut now = runtime.block_on(async { Instant::now() });
        let mut machine = Machine::new(settings(), now, numbers());
        let mut model = Model {
            settings: settings(), begin: now, jitter: numbers(), state: CircuitState::Closed, entered: now,
            until: None, calls: Vec::new(), under_way: 0, openings: 0, state_number: 0,
            let_in: false,
        };
        // Tickets that are out, with the state that gave them.
        let mut out: Vec<(Ticket, u64)> = Vec::new();
        for step in steps {
            if let Step::Pass(millis) = step {
                now += Duration::from_millis(millis);
            }
            model.expire(now);
            let before = model.state_number;
            let effects = match step {
                Step::Pass(_) => { let _ = machine.on_event(now, Event::Ticked); continue }
                Step::Ask => {
                    let _ = machine.on_event(now, Event::Ticked);
                    let expected = model.ask(now);
                    let effects = machine.on_event(now, Event::Asked);
                    match effects.answer.clone().unwrap() {
                        Ok(ticket) => { prop_assert!(expected); out.push((ticket, model.state_number)); }
                        Err(rejection) => {
                            prop_assert!(!expected);
                            prop_assert_eq!(rejection.state, model.state);
                            prop_assert_eq!(rejection.retry_after.is_some(), model.until.is_some());
                        }
                    }
                    effects
                }
                Step::End { which, .. } | Step::Drop { which } | Step::Try { which } => {
                    let _ = machine.on_event(now, Event::Ticked);
                    if out.is_empty() { continue }
                    let index = which % out.len();
                    let (ticket, number) = out[index];
                    let current = number == model.state_number;
                    let ends = !matches!(step, Step::Try { .. });
                    if ends {
                        out.swap_remove(index);
                        model.under_way -= usize::from(current && model.under_way > 0);
                    }
                    match step {
                        Step::End { outcome, .. } => {
                            if current { model.ended(now, outcome); }
                            machine.on_event(now, Event::Ended { ticket, outcome: outcome_of(outcome) })
                        }
                        Step::Try { .. } => {
                            if current { model.ended(now, 1); }
                            machine.on_event(now, Event::Tried { ticket, outcome: outcome_of(1) })
                        }
                        _ => machine.on_event(now, Event::Dropped { ticket }),
                    }
                }
                Step::Command(command) => {
                    let _ = machine.on_event(now, Event::Ticked);
                    if command == CircuitCommand::Reset { (model.openings, model.let_in) = (0, false); }
                    if !(command == CircuitCommand::Close && model.state == CircuitState::Unusable) {
                        model.enter(now, command.state(), None);
                    }
                    machine.on_event(now, Event::Commanded { command, reason: String::new() })
                }
                Step::Reconfigure => {
                    let _ = machine.on_event(now, Event::Ticked);
                    if model.state != CircuitState::Isolated {
                        (model.openings, model.let_in) = (0, false);
                        model.enter(now, CircuitState::Closed, None);
                    }
                    machine.on_event(now, Event::Reconfigured)
                }
                Step::RefusedElsewhere => {
                    let _ = machine.on_event(now, Event::Ticked);
                    if !(model.let_in || matches!(model.state, CircuitState::Isolated | CircuitState::Unusable)) {
                        model.enter(now, CircuitState::Unusable, None);
                    }
                    machine.on_event(now, Event::RefusedElsewhere { reason: String::new() })
                }
            };
            prop_assert_eq!(effects.changed, model.state_number != before);
            prop_assert_eq!(machine.state(), model.state);
            let left = model.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
            prop_assert_eq!(machine.left(now), left);
        }
    }
}
