//! Which settings take effect while vppd runs, and which wait for a restart: what is bound or built once at the start.

use super::Config;

impl Config {
    /// The settings that hold once `new` was read while vppd runs with `self`, and the keys whose new values wait for a
    /// restart: these keep their old values here, so that each reload names them again.
    pub fn reloaded(&self, mut new: Config) -> (Config, Vec<&'static str>) {
        let mut waiting = Vec::new();
        let (server, devices, apple, apns) = (&self.server, &self.devices, &self.apple, &self.apns);
        let keep = &mut waiting;
        hold(&server.state_directory, &mut new.server.state_directory, "[server] state-directory", keep);
        hold(&server.control_socket, &mut new.server.control_socket, "[server] control-socket", keep);
        hold(&server.control_group, &mut new.server.control_group, "[server] control-group", keep);
        hold(&devices.listen, &mut new.devices.listen, "[devices] listen", keep);
        hold(&devices.max_connections, &mut new.devices.max_connections, "[devices] max-connections", keep);
        let per_address = &mut new.devices.max_connections_per_address;
        hold(&devices.max_connections_per_address, per_address, "[devices] max-connections-per-address", keep);
        hold(&devices.idle_timeout, &mut new.devices.idle_timeout, "[devices] idle-timeout", keep);
        hold(&self.identity.extra_ca, &mut new.identity.extra_ca, "[identity] extra-ca", keep);
        hold(&devices.request_timeout, &mut new.devices.request_timeout, "[devices] request-timeout", keep);
        hold(&apple.base_url, &mut new.apple.base_url, "[apple] base-url", keep);
        hold(&apple.extra_ca, &mut new.apple.extra_ca, "[apple] extra-ca", keep);
        hold(&apple.proxy, &mut new.apple.proxy, "[apple] proxy", keep);
        hold(&apple.requests_per_second, &mut new.apple.requests_per_second, "[apple] requests-per-second", keep);
        let (old, read) = (&self.notifications, &mut new.notifications);
        hold(&old.url, &mut read.url, "[notifications] url", keep);
        hold(&old.listen, &mut read.listen, "[notifications] listen", keep);
        hold(&old.certificate, &mut read.certificate, "[notifications] certificate", keep);
        hold(&old.key, &mut read.key, "[notifications] key", keep);
        hold(&apns.base_url, &mut new.apns.base_url, "[apns] base-url", keep);
        hold(&self.metadata.developer_key, &mut new.metadata.developer_key, "[metadata] developer-key", keep);
        hold(&self.log.target, &mut new.log.target, "[log] target", keep);
        (new, waiting)
    }
}

fn hold<T: Clone + PartialEq>(old: &T, new: &mut T, key: &'static str, waiting: &mut Vec<&'static str>) {
    if old != new {
        waiting.push(key);
        new.clone_from(old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bound_at_the_start_waits_for_a_restart_and_the_rest_holds_at_once() {
        let read = |text: &str| {
            Config::from_text("vppd.toml", &format!("[devices]\nurl = \"https://mdm.example.org\"\n{text}")).unwrap()
        };
        let old = read("");
        let new = read("listen = \"127.0.0.1:8443\"\n[planner]\nsettle = \"2s\"\n[log]\ntarget = \"stderr\"\n");
        let (held, waiting) = old.reloaded(new.clone());
        assert_eq!(waiting, ["[devices] listen", "[log] target"]);
        assert_eq!(held.planner, new.planner);
        assert_eq!(held.devices, old.devices);
        assert_eq!(held.reloaded(new).1, waiting, "a second reload names them again");
        assert_eq!(old.reloaded(old.clone()), (old, Vec::new()));
    }
}
