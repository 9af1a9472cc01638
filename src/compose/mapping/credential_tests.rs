//! Credentials: where they go, and that they go nowhere else.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::choices::Choices;
use super::says::Class::{self, Approximated, Ignored, Refused};
use super::tests::{mapped, mapped_with};
use super::{Mapped, code};

/// One service `a` of these lines in a project with this `.env`.
fn with(env: &str, lines: &str) -> Mapped {
    let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    let text = format!(
        "name: shop\nservices:\n  a:\n{}{lines}",
        if lines.contains("image:") { "" } else { "    image: a:1\n" }
    );
    mapped_with(&[("compose.yaml", &text), (".env", env)], &Choices::default())
}

fn service(mapped: &Mapped) -> Value {
    serde_json::to_value(&mapped.stack.spec.services["a"]).unwrap()
}

fn found(mapped: &Mapped) -> Vec<(Class, &'static str)> {
    let codes = mapped.findings.iter().map(|finding| (finding.outcome.class, finding.outcome.code.0));
    codes.filter(|(_, code)| code.starts_with("C17")).collect()
}

fn secret(mapped: &Mapped) -> Value {
    let data = mapped.secrets.iter().flat_map(|made| &made.data);
    data.map(|(key, value)| (key.clone(), json!(String::from_utf8_lossy(value))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn key(key: &str) -> Value {
    json!({"secret": "shop", "key": key})
}

#[test]
fn whole_values_are_keys_of_a_secret_called_after_the_variable_they_come_from() {
    let mapped = with(
        "DB_PASSWORD=hunter2-hunter2\n",
        "environment:
  POSTGRES_PASSWORD: ${DB_PASSWORD}
  OTHER: ${DB_PASSWORD}
  JWT_SECRET: literal-of-the-file
  EMPTY: ''
  ADMIN_PASSWORD: ''
  ALLOW_EMPTY_PASSWORD: 'yes'
  TOKEN_URL: http://x/
  CUDA_VISIBLE_DEVICES: ''",
    );
    let a = service(&mapped);
    assert_eq!(
        a["secretEnv"],
        json!({"POSTGRES_PASSWORD": key("db-password"), "OTHER": key("db-password"), "JWT_SECRET": key("jwt-secret")})
    );
    assert_eq!(
        a["env"],
        json!({"EMPTY": "", "ADMIN_PASSWORD": "", "ALLOW_EMPTY_PASSWORD": "yes", "TOKEN_URL": "http://x/", "CUDA_VISIBLE_DEVICES": ""})
    );
    assert_eq!(secret(&mapped), json!({"db-password": "hunter2-hunter2", "jwt-secret": "literal-of-the-file"}));
    assert_eq!(found(&mapped), []);
}

#[test]
fn a_variable_that_may_be_unset_is_optional_and_there() {
    let mapped = with("", "environment: ['API_KEY=${API_KEY:-}', 'B_TOKEN=${B_TOKEN:-fallback-token}']");
    let optional = json!({"secret": "shop", "key": "api-key", "optional": true});
    assert_eq!(service(&mapped)["secretEnv"], json!({"API_KEY": optional, "B_TOKEN": key("b-token")}));
    assert_eq!(secret(&mapped), json!({"api-key": "", "b-token": "fallback-token"}));
    assert_eq!(found(&mapped), [(Approximated, code::OPTIONAL_CREDENTIAL.0)]);
}

#[test]
fn values_of_a_file_that_another_is_put_onto_keep_their_variables() {
    let base = "name: shop
services:
  a:
    image: a:1
    environment: {URL: 'postgres://u:${DB_PASSWORD}@db/x', TOKEN: '${TOKEN:-}'}
";
    let over = "services:\n  a: {environment: {LOG: debug}}\n";
    let env = "DB_PASSWORD=db\nTOKEN=hunter2-hunter2\n";
    let files = [("compose.yaml", base), ("compose.override.yaml", over), (".env", env)];
    let a = service(&mapped_with(&files, &Choices::default()));
    assert_eq!(a["envTemplate"], json!({"URL": "postgres://u:$(DB_PASSWORD)@db/x"}));
    assert_eq!((&a["secretEnv"]["TOKEN"]["optional"], &a["env"]), (&json!(true), &json!({"LOG": "debug"})));
}

#[test]
fn a_part_of_a_longer_value_is_a_template_of_one_variable() {
    let mapped = with(
        "DB_PASSWORD=hunter2-hunter2\n",
        "environment:
  - URL=postgresql://app:${DB_PASSWORD}@db:5432/app?x=$$1
  - OTHER_URL=mysql://app:literal-pw@db/app
  - DSN=host=db password=hunter2-hunter2 user=x",
    );
    let a = service(&mapped);
    assert_eq!(
        a["envTemplate"],
        json!({
            "URL": "postgresql://app:$(DB_PASSWORD)@db:5432/app?x=$$1",
            "OTHER_URL": "mysql://app:$(OTHER_PASSWORD)@db/app",
            "DSN": "host=db password=$(DB_PASSWORD) user=x",
        })
    );
    assert_eq!(a["secretEnv"], json!({"DB_PASSWORD": key("db-password"), "OTHER_PASSWORD": key("other-password")}));
    assert!(a.get("env").is_none());
}

#[test]
fn a_variable_that_has_the_credential_is_used_and_a_name_that_is_taken_is_not() {
    let mapped = with(
        "PW=hunter2-hunter2\nTOKEN=another-token-1\n",
        "environment: {POSTGRES_PASSWORD: '${PW}', URL: 'a://u:${PW}@h', TOKEN: mine, X: 'Bearer ${TOKEN}'}",
    );
    let a = service(&mapped);
    assert_eq!(a["envTemplate"], json!({"URL": "a://u:$(POSTGRES_PASSWORD)@h", "X": "Bearer $(TOKEN_2)"}));
    assert_eq!(a["secretEnv"]["TOKEN_2"], key("token-2"));
}

#[test]
fn what_stands_beside_a_credential_that_may_be_missing_is_a_secret_as_a_whole() {
    let line = "environment: {REDIS_URL: 'redis://${REDIS_PASSWORD:+:${REDIS_PASSWORD}@}redis:6379', PEER: 'redis://redis:6379'}";
    for (env, url) in
        [("REDIS_PASSWORD=\n", "redis://redis:6379"), ("REDIS_PASSWORD=hunter22\n", "redis://:hunter22@redis:6379")]
    {
        let mapped = with(env, line);
        assert_eq!(service(&mapped)["secretEnv"], json!({"REDIS_URL": key("redis-url")}));
        assert_eq!(secret(&mapped), json!({"redis-url": url}));
        assert_eq!(found(&mapped), []);
    }
}

#[test]
fn commands_take_credentials_from_variables_by_a_shell() {
    for (lines, path, wanted) in [
        (
            "image: redis:7\ncommand: redis-server --appendonly yes ${PW_PASSWORD:+--requirepass ${PW_PASSWORD}}",
            "/command",
            json!([
                "sh",
                "-c",
                "exec docker-entrypoint.sh redis-server --appendonly yes ${PW_PASSWORD:+--requirepass \"$PW_PASSWORD\"}"
            ]),
        ),
        (
            "image: redis:7\ncommand: [redis-server, --requirepass, hunter2-hunter2]",
            "/command",
            json!(["sh", "-c", "exec docker-entrypoint.sh redis-server --requirepass \"$PW_PASSWORD\""]),
        ),
        (
            "image: prom/prometheus:v3\ncommand: [--web.token=$PW_PASSWORD]",
            "/entrypoint",
            json!(["sh", "-c", "exec /bin/prometheus --web.token=\"$PW_PASSWORD\""]),
        ),
        (
            "image: python:3\nentrypoint: [python, -m]\ncommand: [x, $PW_PASSWORD]",
            "/entrypoint",
            json!(["sh", "-c", "exec python -m x \"$PW_PASSWORD\""]),
        ),
        (
            "image: x:1\ncommand: [sh, -c, 'run \"${PW_PASSWORD}\" && x']",
            "/command",
            json!(["sh", "-c", "run \"${PW_PASSWORD}\" && x"]),
        ),
        (
            "image: x:1\nentrypoint: [/bin/sh, -c]\ncommand: ['run ${PW_PASSWORD}']",
            "/command",
            json!(["run \"$PW_PASSWORD\""]),
        ),
        (
            "image: x:1\nhealthcheck: {test: 'redis-cli -a ${PW_PASSWORD} ping'}",
            "/healthcheck/shell",
            json!("redis-cli -a \"$PW_PASSWORD\" ping"),
        ),
        (
            "image: redis:7\nhealthcheck: {test: [CMD, redis-cli, -a, '${PW_PASSWORD}', ping]}",
            "/healthcheck/exec",
            json!(["sh", "-c", "exec redis-cli -a \"$PW_PASSWORD\" ping"]),
        ),
    ] {
        for env in ["PW_PASSWORD=hunter2-hunter2\n", "PW_PASSWORD=\n"] {
            if env.len() < 14 && lines.contains("hunter2") {
                continue;
            }
            let mapped = with(env, lines);
            let a = service(&mapped);
            assert_eq!(a.pointer(path), Some(&wanted), "{lines}");
            assert_eq!(a["secretEnv"]["PW_PASSWORD"]["key"], json!("pw-password"), "{lines}");
            assert!(found(&mapped).contains(&(Approximated, code::CREDENTIAL_IN_COMMAND.0)), "{lines}");
        }
    }
}

#[test]
fn a_credential_in_a_command_without_a_known_shell_is_refused_also_when_it_is_empty() {
    for lines in [
        "command: [run, '--key=${API_KEY}']",
        "command: run --key ${API_KEY:-}",
        "command: [run, --api-key, literal-api-key]",
        "healthcheck: {test: [CMD, run, '${API_KEY}']}",
        "command: [sh, -c, \"cat <<E\\n${API_KEY}\\nE\"]",
        "post_start: [{command: [run, '${API_KEY}']}]",
        "pre_stop: [{command: run, environment: {A_TOKEN: x1234567890}}]",
    ] {
        for env in ["API_KEY=hunter2-hunter2\n", "API_KEY=\n"] {
            let mapped = with(env, lines);
            assert!(
                found(&mapped).contains(&(Refused, code::CREDENTIAL_IN_COMMAND.0)),
                "{lines}: {:?}",
                mapped.findings
            );
            assert!(mapped.stack.spec.services.is_empty(), "{lines}");
        }
    }
    let choices = Choices { allow: [code::CREDENTIAL_IN_COMMAND.0.to_owned()].into(), ..Choices::default() };
    let text = "name: shop\nservices: {a: {image: a:1, command: [run, '--key=${API_KEY}']}}\n";
    let mapped = mapped_with(&[("compose.yaml", text), (".env", "API_KEY=hunter2-hunter2")], &choices);
    assert_eq!(service(&mapped)["command"], json!(["sh", "-c", "exec run --key=\"$API_KEY\""]));
}

#[test]
fn a_value_of_a_secret_elsewhere_is_an_error_that_names_the_field_and_not_the_value() {
    let mapped = with("", "environment: {ADMIN_PASSWORD: hunter2-hunter2}\nworking_dir: /x/hunter2-hunter2");
    assert_eq!(found(&mapped), [(Refused, code::LEAKED.0)]);
    let finding = mapped.findings.iter().find(|finding| finding.outcome.code == code::LEAKED).unwrap();
    assert!(finding.outcome.message.contains("spec.services.a.workingDir"), "{}", finding.outcome.message);
    assert!(!format!("{finding:?}").contains("hunter2"));
    assert!(mapped.stack.spec.services.is_empty());
}

#[test]
fn words_that_stand_all_over_a_project_are_said_to_be_poor_passwords() {
    let mapped =
        with("", "image: postgres:16\nenvironment: {POSTGRES_USER: shopkeeper, POSTGRES_PASSWORD: shopkeeper}");
    assert_eq!(found(&mapped), [(Approximated, code::CREDENTIAL.0)]);
    let mapped = with("", "environment: {X_PASSWORD: change-me-please}");
    assert_eq!(found(&mapped), [(Approximated, code::CREDENTIAL.0)]);
}

#[test]
fn env_files_are_settled_and_secret_when_asked() {
    let text = "name: shop\nservices: {a: {image: a:1, env_file: [x.env], environment: {A: own}}}\n";
    let files = [
        ("compose.yaml", text),
        ("x.env", "A=file\nPORT=3000\nDB_PASSWORD=hunter2-hunter2\nURL=a://u:hunter2-hunter2@h\n"),
    ];
    let a = service(&mapped_with(&files, &Choices::default()));
    assert_eq!(a["env"], json!({"A": "own", "PORT": "3000"}));
    assert_eq!(a["envTemplate"], json!({"URL": "a://u:$(DB_PASSWORD)@h"}));
    let mapped = mapped_with(&files, &Choices { env_files_secret: true, ..Choices::default() });
    assert_eq!(service(&mapped)["secretEnv"]["PORT"], key("port"));
    assert_eq!(found(&mapped), []);
}

#[test]
fn an_env_file_of_three_services_is_a_config_when_asked() {
    let service =
        |name: &str| format!("  {name}: {{image: a:1, env_file: [common.env], environment: {{OWN: {name}}}}}\n");
    let text = format!("services:\n{}{}{}", service("a"), service("b"), service("c"));
    let files =
        [("compose.yaml", text.as_str()), ("common.env", "LOG=info\nZONE=eu\nOWN=x\nA_TOKEN=hunter2-hunter2\n")];
    let mapped = mapped_with(&files, &Choices { share_env: true, ..Choices::default() });
    let spec = serde_json::to_value(&mapped.stack.spec).unwrap();
    assert_eq!(spec["configs"], json!({"common-env": {"data": {"LOG": "info", "ZONE": "eu"}}}));
    assert_eq!(spec["services"]["b"]["env"], json!({"OWN": "b"}));
    assert_eq!(spec["services"]["b"]["envFrom"], json!([{"config": "common-env"}]));
    assert!(spec["services"]["b"]["secretEnv"].get("A_TOKEN").is_some());
}

#[test]
fn names_of_variables_that_kubernetes_does_not_take_are_left_out() {
    let mapped = with("", "environment: {'Größe': '1', A: b}");
    assert_eq!(service(&mapped)["env"], json!({"A": "b"}));
    assert_eq!(
        mapped.findings.iter().map(|f| (f.outcome.class, f.outcome.code.0)).collect::<Vec<_>>(),
        [(Ignored, code::VARIABLE_NAME.0)]
    );
}

#[test]
fn models_are_served_by_whom_the_user_names() {
    let text = "services: {a: {image: a:1, models: {my-llm: {}, e: {endpoint_var: E_AT, model_var: E_IS}}}}
models: {my-llm: {model: ai/x, context_size: 4096}, e: {model: ai/e}}\n";
    let refused = mapped(text);
    let codes: Vec<_> = refused.findings.iter().map(|f| (f.outcome.class, f.outcome.code)).collect();
    assert_eq!(codes, [(Refused, code::MODEL), (Refused, code::MODEL), (Ignored, code::MODEL)]);
    let models =
        [("my-llm", "http://llm:8080/v1"), ("e", "http://e/")].map(|(name, url)| (name.to_owned(), url.to_owned()));
    let mapped = mapped_with(&[("compose.yaml", text)], &Choices { models: models.into(), ..Choices::default() });
    assert_eq!(
        service(&mapped)["env"],
        json!({"MY_LLM_URL": "http://llm:8080/v1", "MY_LLM": "ai/x", "E_AT": "http://e/", "E_IS": "ai/e"})
    );
}

/// A use of the credential named `name`, or of one that stands there as `value`.
fn a_use() -> impl Strategy<Value = (&'static str, bool)> {
    prop_oneof![
        Just(("environment: {X_PASSWORD: '@'}", true)),
        Just(("environment: {URL: 'postgres://u:@@db/x'}", true)),
        Just(("environment: ['URL=redis://:@@r', 'B_TOKEN=@']", true)),
        Just(("environment: {NOTE: 'before @ after'}", false)),
        Just(("environment: {URL: 'x://${S_SECRET:+u:@@}h'}", false)),
        Just(("command: [run, --password, '@']", true)),
        Just(("command: run --password=@ x", true)),
        Just(("command: sh -c 'run @'", false)),
        Just(("image: redis:7\ncommand: redis-server --requirepass @", true)),
        Just(("entrypoint: ['/x.sh', '@']", false)),
        Just(("healthcheck: {test: 'check @'}", false)),
        Just(("healthcheck: {test: [CMD, check, '@']}", false)),
        Just(("pre_start: [{command: [sh, -c, 'x @'], environment: {P_TOKEN: '@'}}]", false)),
        Just(("post_start: [{command: [x, '@']}]", false)),
        Just(("working_dir: '/x/@'", false)),
        Just(("labels: {x: '@'}", false)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_credential_is_ever_in_the_stack_or_in_a_message(
        uses in prop::collection::vec((a_use(), any::<bool>()), 1..5),
        secret in "[A-Za-z0-9]{4}[A-Za-z0-9_.-]{6,20}[A-Za-z0-9]",
    ) {
        let mut text = "services:\n  first:\n    image: a:1\n    environment: {S_SECRET: '${S_SECRET}'}\n".to_owned();
        for (number, ((lines, can_be_literal), literal)) in uses.iter().enumerate() {
            let value = if *literal && *can_be_literal { secret.as_str() } else { "${S_SECRET}" };
            let lines = if lines.contains("image:") { (*lines).to_owned() } else { format!("image: a:1\n{lines}") };
            // `@@` is the credential and the '@' behind it.
            let lines = lines.replace("@@", "\u{1}").replace('@', value).replace('\u{1}', &format!("{value}@"));
            text += &format!("  s{number}:\n");
            lines.lines().for_each(|line| text += &format!("    {line}\n"));
        }
        let mapped = mapped_with(&[("compose.yaml", &text), (".env", &format!("S_SECRET={secret}\n"))], &Choices::default());
        let stack = serde_json::to_string(&mapped.stack).unwrap();
        prop_assert!(!stack.contains(&secret), "{text}\n{stack}");
        let said = format!("{:?} {:?}", mapped.findings, mapped.comments);
        prop_assert!(!said.contains(&secret), "{text}\n{said}");
        prop_assert!(mapped.secrets.iter().any(|made| made.data.values().any(|value| value == secret.as_bytes())));
    }
}
