//! The control side: a plain-HTTP JSON interface to everything that happens at Apple without an API, and to the faults.
//!
//! Never on Apple's paths, never on Apple's listener. Every route is a thin cover of a method on a handle, which tests in
//! the same process call directly. Bodies are read strictly. For people and scripts on this machine: there is no login.

mod notifications;
mod people;
mod store;
mod subscriptions;
#[cfg(test)]
mod tests;

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::SignedDuration;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::apns::{AnswerRule, Apns, PushCounters};
use crate::apple::{
    AdminError, Apple, AssetName, CallRecord, FaultRule, Limits, MdmInfo, NewAsset, NewLocation, OtherAct, StateView,
    Switches, TokenKind,
};
use crate::supervisor::{KillPlan, Supervisor, SupervisorView};

/// What the control side drives.
#[derive(Clone)]
pub struct Handles {
    pub apple: Apple,
    pub apns: Apns,
    pub supervisor: Supervisor,
}

/// The routes. Further ones can be merged in.
pub fn router(handles: Handles) -> Router {
    Router::new()
        .route("/state", get(state))
        .route("/calls", get(calls))
        .route("/locations", post(add_location))
        .route("/locations/{uid}/tokens", post(add_token))
        .route("/locations/{uid}/assets", post(add_asset))
        .route("/locations/{uid}/buy", post(buy))
        .route("/locations/{uid}/refund", post(refund))
        .route("/locations/{uid}/transfer", post(transfer))
        .route("/locations/{uid}/assign", post(assign))
        .route("/locations/{uid}/unassign", post(unassign))
        .route("/locations/{uid}/country", post(change_country))
        .route("/locations/{uid}/name", post(rename))
        .route("/locations/{uid}/take-over", post(take_over))
        .route("/locations/{uid}/release", post(release))
        .route("/locations/{uid}/other-mdm", post(other_mdm_acts))
        .route("/tokens/expire", post(expire_token))
        .route("/tokens/revoke", post(revoke_token))
        .route("/switches", get(switches).post(set_switches))
        .route("/limits", get(limits).post(set_limits))
        .route("/faults", post(add_fault).delete(clear_faults))
        .route("/apns/answers", post(add_answer).delete(clear_answers))
        .route("/supervisor", get(supervisor).post(plan_kill))
        .merge(notifications::routes())
        .merge(people::routes())
        .merge(store::routes())
        .merge(subscriptions::routes())
        .with_state(handles)
}

/// A body, read strictly.
struct Body<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, Refused> {
        let Json(body) = Json::from_request(request, state).await?;
        Ok(Body(body))
    }
}

/// A wish that was not fulfilled: status and the sentence that says why.
struct Refused(StatusCode, String);

impl From<JsonRejection> for Refused {
    fn from(rejection: JsonRejection) -> Refused {
        Refused(StatusCode::BAD_REQUEST, rejection.body_text())
    }
}

impl From<AdminError> for Refused {
    fn from(error: AdminError) -> Refused {
        let status = match error {
            AdminError::Invalid(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::NOT_FOUND,
        };
        Refused(status, error.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

type Done = Result<Json<Value>, Refused>;

fn done() -> Done {
    Ok(Json(json!({})))
}

/// The whole sandbox at one glance.
#[derive(Serialize)]
struct Everything {
    #[serde(flatten)]
    apple: StateView,
    apns: PushCounters,
    supervisor: SupervisorView,
}

async fn state(State(handles): State<Handles>) -> Json<Everything> {
    let Handles { apple, apns, supervisor } = handles;
    Json(Everything { apple: apple.state(), apns: apns.counters(), supervisor: supervisor.view() })
}

async fn calls(State(handles): State<Handles>) -> Json<Vec<CallRecord>> {
    Json(handles.apple.calls())
}

/// Makes a location with its first token.
async fn add_location(State(handles): State<Handles>, Body(new): Body<NewLocation>) -> Done {
    let u_id = handles.apple.add_location(new);
    let token = handles.apple.add_token(&u_id, SignedDuration::from_hours(YEAR_OF_DAYS * 24))?;
    Ok(Json(json!({"u-id": u_id, "token": token})))
}

/// How long Apple's tokens are valid.
const YEAR_OF_DAYS: i64 = 365;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct NewToken {
    valid_days: u32,
    kind: TokenKind,
}

impl Default for NewToken {
    fn default() -> NewToken {
        NewToken { valid_days: YEAR_OF_DAYS.unsigned_abs() as u32, kind: TokenKind::Full }
    }
}

async fn add_token(State(handles): State<Handles>, Path(uid): Path<String>, Body(new): Body<NewToken>) -> Done {
    let valid = SignedDuration::from_hours(i64::from(new.valid_days) * 24);
    let token = handles.apple.add_token_of(&uid, valid, new.kind)?;
    Ok(Json(json!({"token": token})))
}

async fn add_asset(State(handles): State<Handles>, Path(uid): Path<String>, Body(new): Body<NewAsset>) -> Done {
    handles.apple.add_asset(&uid, new)?;
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Quantity {
    asset: AssetName,
    count: u32,
}

async fn buy(State(handles): State<Handles>, Path(uid): Path<String>, Body(wish): Body<Quantity>) -> Done {
    handles.apple.buy(&uid, &wish.asset, wish.count)?;
    done()
}

async fn refund(State(handles): State<Handles>, Path(uid): Path<String>, Body(wish): Body<Quantity>) -> Done {
    handles.apple.refund(&uid, &wish.asset, wish.count)?;
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Transfer {
    to: String,
    asset: AssetName,
    count: u32,
}

async fn transfer(State(handles): State<Handles>, Path(uid): Path<String>, Body(wish): Body<Transfer>) -> Done {
    handles.apple.transfer(&uid, &wish.to, &wish.asset, wish.count)?;
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Pair {
    asset: AssetName,
    serial_number: String,
}

async fn assign(State(handles): State<Handles>, Path(uid): Path<String>, Body(pair): Body<Pair>) -> Done {
    let changed = handles.apple.assign(&uid, &pair.asset, &pair.serial_number)?;
    Ok(Json(json!({"changed": changed})))
}

async fn unassign(State(handles): State<Handles>, Path(uid): Path<String>, Body(pair): Body<Pair>) -> Done {
    let changed = handles.apple.unassign(&uid, &pair.asset, &pair.serial_number)?;
    Ok(Json(json!({"changed": changed})))
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Country {
    country: String,
}

async fn change_country(State(handles): State<Handles>, Path(uid): Path<String>, Body(new): Body<Country>) -> Done {
    handles.apple.change_country(&uid, &new.country)?;
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Name {
    name: String,
}

async fn rename(State(handles): State<Handles>, Path(uid): Path<String>, Body(new): Body<Name>) -> Done {
    handles.apple.rename_location(&uid, &new.name)?;
    done()
}

async fn take_over(State(handles): State<Handles>, Path(uid): Path<String>, Body(by): Body<MdmInfo>) -> Done {
    handles.apple.take_over(&uid, by)?;
    done()
}

async fn release(State(handles): State<Handles>, Path(uid): Path<String>) -> Done {
    handles.apple.release(&uid)?;
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Act {
    act: OtherAct,
}

async fn other_mdm_acts(State(handles): State<Handles>, Path(uid): Path<String>, Body(wish): Body<Act>) -> Done {
    let done = handles.apple.other_mdm_acts(&uid, wish.act)?;
    Ok(Json(json!({"done": done})))
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct NamedToken {
    token: String,
}

async fn expire_token(State(handles): State<Handles>, Body(named): Body<NamedToken>) -> Done {
    handles.apple.expire_token(&named.token)?;
    done()
}

async fn revoke_token(State(handles): State<Handles>, Body(named): Body<NamedToken>) -> Done {
    handles.apple.revoke_token(&named.token)?;
    done()
}

async fn switches(State(handles): State<Handles>) -> Json<Switches> {
    Json(handles.apple.switches())
}

async fn set_switches(State(handles): State<Handles>, Body(patch): Body<Map<String, Value>>) -> Done {
    handles.apple.patch_switches(patch)?;
    done()
}

async fn limits(State(handles): State<Handles>) -> Json<Limits> {
    Json(handles.apple.limits())
}

async fn set_limits(State(handles): State<Handles>, Body(patch): Body<Map<String, Value>>) -> Done {
    handles.apple.patch_limits(patch)?;
    done()
}

async fn add_fault(State(handles): State<Handles>, Body(rule): Body<FaultRule>) -> Done {
    handles.apple.add_fault(rule)?;
    done()
}

async fn clear_faults(State(handles): State<Handles>) -> Done {
    handles.apple.clear_faults();
    done()
}

async fn add_answer(State(handles): State<Handles>, Body(rule): Body<AnswerRule>) -> Done {
    handles.apns.add_answer(rule);
    done()
}

async fn clear_answers(State(handles): State<Handles>) -> Done {
    handles.apns.clear_answers();
    done()
}

async fn supervisor(State(handles): State<Handles>) -> Json<SupervisorView> {
    Json(handles.supervisor.view())
}

async fn plan_kill(State(handles): State<Handles>, Body(plan): Body<KillPlan>) -> Done {
    if plan.kill_at_request == 0 {
        let text = "kill_at_request counts from 1, the next request".to_owned();
        return Err(Refused(StatusCode::BAD_REQUEST, text));
    }
    handles.supervisor.plan(plan);
    done()
}
