//! Kills and restarts the program under test at its n-th request to the sandbox, before or after the request has its effect.
//!
//! The sandbox's listeners ask the supervisor at every request. Who is killed is either a child process that the supervisor
//! started (SIGKILL), or whatever a test registered with [`Supervisor::on_kill`]. It knows nothing of what the requests say.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};

/// When a planned kill happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// The request has no effect and no reply.
    Before,
    /// The request has its effect, but the reply is lost.
    After,
}

/// A kill to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KillPlan {
    /// Counted from the moment the plan is made; 1 is the next request, to Apple or to APNs.
    #[serde(rename = "kill_at_request", alias = "kill-at-request")]
    pub kill_at_request: u64,
    pub when: When,
    /// Start the program again. With a registered callback: what it is told.
    pub restart: bool,
}

/// What a registered callback is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kill {
    /// Number of the request since the sandbox started.
    pub request: u64,
    pub when: When,
    pub restart: bool,
}

/// The program to run.
#[derive(Debug, Clone)]
pub struct Program {
    pub program: OsString,
    pub args: Vec<OsString>,
    /// Added to the environment of this process.
    pub env: HashMap<OsString, OsString>,
    /// The file to which its output is added; `None`: where the output of this process goes.
    pub log: Option<PathBuf>,
}

/// Why the program could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    #[error("could not start {program}: {source}")]
    Start { program: String, source: std::io::Error },
    #[error("could not kill {program}: {source}")]
    Kill { program: String, source: std::io::Error },
    #[error("no program was given to the supervisor; call start first")]
    NoProgram,
}

type Callback = Arc<dyn Fn(Kill) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;
type EnvironmentHook = Arc<dyn Fn(u64, &mut HashMap<OsString, OsString>) + Send + Sync>;

/// The supervisor. Cheap to clone; all clones are the same.
#[derive(Clone, Default)]
pub struct Supervisor(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Held while the child is killed or started, so that this happens once at a time.
    child: tokio::sync::Mutex<Option<Child>>,
}

#[derive(Default)]
struct State {
    requests: u64,
    plan: Option<KillPlan>,
    callback: Option<Callback>,
    hook: Option<EnvironmentHook>,
    program: Option<Program>,
    restarts: u64,
    last_error: Option<String>,
}

/// What the supervisor knows, for the control side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SupervisorView {
    pub requests: u64,
    pub restarts: u64,
    pub plan: Option<KillPlan>,
    /// Why the last restart failed.
    pub last_error: Option<String>,
}

impl Supervisor {
    /// Plans a kill; an earlier plan that has not happened is replaced.
    pub fn plan(&self, plan: KillPlan) {
        self.state().plan = Some(plan);
    }

    /// Calls `callback` for a kill instead of killing a child process. The request waits until it has returned.
    pub fn on_kill<F>(&self, callback: impl Fn(Kill) -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.state().callback = Some(Arc::new(move |kill| Box::pin(callback(kill))));
    }

    /// Before each start `hook` may change the environment; it is told how many restarts there were.
    pub fn before_start(&self, hook: impl Fn(u64, &mut HashMap<OsString, OsString>) + Send + Sync + 'static) {
        self.state().hook = Some(Arc::new(hook));
    }

    /// Starts the program. It is killed when the supervisor goes.
    pub async fn start(&self, program: Program) -> Result<(), SupervisorError> {
        let mut child = self.0.child.lock().await;
        self.state().program = Some(program);
        *child = Some(self.spawn()?);
        Ok(())
    }

    /// Kills the program (SIGKILL) and waits for its end. Nothing happens when it does not run.
    pub async fn kill(&self) -> Result<(), SupervisorError> {
        let mut child = self.0.child.lock().await;
        self.end(&mut child).await
    }

    /// Kills the program and starts it again.
    pub async fn restart(&self) -> Result<(), SupervisorError> {
        let mut child = self.0.child.lock().await;
        self.end(&mut child).await?;
        self.state().restarts += 1;
        *child = Some(self.spawn()?);
        Ok(())
    }

    /// Whether the program runs.
    pub async fn is_running(&self) -> bool {
        let mut child = self.0.child.lock().await;
        child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// How often the program was started again.
    pub fn restarts(&self) -> u64 {
        self.state().restarts
    }

    /// How many requests came to the sandbox.
    pub fn requests(&self) -> u64 {
        self.state().requests
    }

    /// All of it.
    pub fn view(&self) -> SupervisorView {
        let state = self.state();
        SupervisorView {
            requests: state.requests,
            restarts: state.restarts,
            plan: state.plan.clone(),
            last_error: state.last_error.clone(),
        }
    }

    /// Counts a request that has arrived whole.
    pub(crate) fn arrival(&self) -> Arrival {
        let mut state = self.state();
        state.requests += 1;
        let request = state.requests;
        let due = state.plan.as_mut().is_some_and(|plan| {
            plan.kill_at_request = plan.kill_at_request.saturating_sub(1);
            plan.kill_at_request == 0
        });
        let plan = if due { state.plan.take() } else { None };
        Arrival(plan.map(|plan| Kill { request, when: plan.when, restart: plan.restart }))
    }

    /// Carries out a kill. It goes on in its own task: killing the client closes the connection whose task asks for this.
    pub(crate) async fn carry_out(&self, kill: Kill) {
        let supervisor = self.clone();
        let carried_out = tokio::spawn(async move {
            let callback = supervisor.state().callback.clone();
            if let Some(callback) = callback {
                if kill.restart {
                    supervisor.state().restarts += 1;
                }
                callback(kill).await;
                return;
            }
            let result = if kill.restart { supervisor.restart().await } else { supervisor.kill().await };
            if let Err(error) = result {
                supervisor.state().last_error = Some(error.to_string());
            }
        });
        // A panic in the callback of a test is reported by the task itself.
        let _ = carried_out.await;
    }

    async fn end(&self, child: &mut Option<Child>) -> Result<(), SupervisorError> {
        let Some(mut running) = child.take() else { return Ok(()) };
        let ended = async {
            // A child that has ended already cannot be killed, which is no failure.
            if running.try_wait()?.is_none() {
                running.start_kill()?;
                running.wait().await?;
            }
            Ok(())
        };
        ended.await.map_err(|source| SupervisorError::Kill { program: self.program_name(), source })
    }

    fn spawn(&self) -> Result<Child, SupervisorError> {
        let (program, hook, restarts) = {
            let state = self.state();
            (state.program.clone(), state.hook.clone(), state.restarts)
        };
        let mut program = program.ok_or(SupervisorError::NoProgram)?;
        if let Some(hook) = hook {
            hook(restarts, &mut program.env);
        }
        let mut command = Command::new(&program.program);
        command.args(&program.args).envs(&program.env).kill_on_drop(true);
        let failed = |source| SupervisorError::Start { program: self.program_name(), source };
        if let Some(log) = &program.log {
            let log = OpenOptions::new().create(true).append(true).open(log).map_err(failed)?;
            command.stdout(log.try_clone().map_err(failed)?).stderr(log);
        }
        command.spawn().map_err(failed)
    }

    fn program_name(&self) -> String {
        let state = self.state();
        state.program.as_ref().map(|program| program.program.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that was counted, and the kill that is due at it.
pub(crate) struct Arrival(Option<Kill>);

impl Arrival {
    /// The kill, when it is due at `moment` of this request.
    pub(crate) fn kill(&self, moment: When) -> Option<Kill> {
        self.0.clone().filter(|kill| kill.when == moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Program {
        Program {
            program: "sh".into(),
            args: vec!["-c".into(), "exec sleep 600".into()],
            env: HashMap::new(),
            log: None,
        }
    }

    #[tokio::test]
    async fn child_is_killed_and_started_again_with_another_environment() {
        let supervisor = Supervisor::default();
        let seen: Arc<Mutex<Vec<u64>>> = Arc::default();
        let starts = seen.clone();
        supervisor.before_start(move |restarts, env| {
            starts.lock().unwrap().push(restarts);
            env.insert("RESTARTS".into(), restarts.to_string().into());
        });
        supervisor.start(sleeper()).await.unwrap();
        assert!(supervisor.is_running().await);
        supervisor.plan(KillPlan { kill_at_request: 2, when: When::After, restart: true });
        assert_eq!(supervisor.arrival().kill(When::After), None);
        let due = supervisor.arrival();
        assert_eq!(due.kill(When::Before), None);
        supervisor.carry_out(due.kill(When::After).unwrap()).await;
        assert!(supervisor.is_running().await);
        assert_eq!((supervisor.restarts(), seen.lock().unwrap().clone()), (1, vec![0, 1]));
        assert_eq!(supervisor.view().plan, None);
        supervisor.kill().await.unwrap();
        assert!(!supervisor.is_running().await);
    }

    #[tokio::test]
    async fn failed_restart_is_remembered() {
        let supervisor = Supervisor::default();
        supervisor.carry_out(Kill { request: 1, when: When::Before, restart: true }).await;
        assert!(supervisor.view().last_error.unwrap().contains("no program was given"));
        let nowhere = Program { program: "/nonexistent/program".into(), ..sleeper() };
        assert!(matches!(supervisor.start(nowhere).await, Err(SupervisorError::Start { .. })));
    }
}
