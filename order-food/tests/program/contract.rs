//! `api/openapi.yaml` says what the server does, and the server does what it says.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use test_postgres::Server;
use test_process::free_port;

use crate::support::{Answer, Api, PRODUCTS, migrate, order, program};

/// The contract, read once.
struct Contract(Value);

impl Contract {
    fn read() -> Self {
        let text = include_str!("../../api/openapi.yaml");
        Self(serde_yaml_ng::from_str(text).unwrap())
    }

    /// Path, method and description of all operations.
    fn operations(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        let paths = self.0["paths"].as_object().unwrap().iter();
        paths.flat_map(|(path, item)| {
            let members = item.as_object().unwrap().iter();
            members
                .filter(|(member, _)| *member != "servers")
                .map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
    }

    fn operation(&self, id: &str) -> &Value {
        let mut operations = self.operations();
        let found = operations.find(|(_, _, operation)| operation["operationId"] == id);
        found.expect(id).2
    }

    /// The description of what an operation answers with a status.
    fn response(&self, operation: &str, status: u16) -> &Value {
        let response = &self.operation(operation)["responses"][status.to_string()];
        assert!(
            response.is_object(),
            "{operation} answers {status}, which is not in the contract"
        );
        match response["$ref"].as_str() {
            Some(reference) => self
                .0
                .pointer(reference.trim_start_matches('#'))
                .expect(reference),
            None => response,
        }
    }

    /// Panics unless the value is as the schema says.
    fn validate(&self, schema: &Value, value: &Value) {
        let mut schema = schema.clone();
        schema["components"] = self.0["components"].clone();
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .should_validate_formats(true)
            .build(&schema)
            .unwrap();
        let errors: Vec<_> = validator
            .iter_errors(value)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:#?} in {value:#}");
    }

    /// Panics unless the operation may answer so.
    fn check(&self, operation: &str, answer: &Answer) {
        let response = self.response(operation, answer.status);
        let content = &response["content"]["application/json"];
        self.validate(&content["schema"], &answer.json());
        for (header, description) in response["headers"].as_object().into_iter().flatten() {
            let value = answer.header(header).expect(header).parse::<u64>().unwrap();
            self.validate(&description["schema"], &json!(value));
        }
    }
}

#[test]
fn every_example_is_as_its_schema_says() {
    let contract = Contract::read();
    let mut examples = 0;
    for (_, _, operation) in contract.operations() {
        let id = operation["operationId"].as_str().unwrap();
        let request = &operation["requestBody"]["content"]["application/json"];
        let statuses = operation["responses"].as_object().unwrap().keys();
        let responses = statuses.map(|status| {
            &contract.response(id, status.parse().unwrap())["content"]["application/json"]
        });
        for content in responses.chain(request.is_object().then_some(request)) {
            contract.validate(&content["schema"], &content["example"]);
            examples += 1;
        }
    }
    assert_eq!(examples, 20);
}

#[tokio::test]
async fn every_documented_status_is_answered_as_documented_and_no_other() {
    let contract = Contract::read();
    let migrated = Server::shared().database().await;
    migrate(&migrated).await;
    migrated.execute(PRODUCTS).await;
    let empty = Server::shared().database().await;

    let working = Api::on(&migrated).await;
    let without_tables = Api::start(&mut program(&empty)).await;
    let without_database =
        Api::start(program(&empty).env("DB_PORT", free_port().to_string())).await;

    let example =
        &contract.operation("placeOrder")["requestBody"]["content"]["application/json"]["example"];
    let example = example.to_string();
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    let without_key = || Request::post("/api/order").body(Body::empty()).unwrap();
    let wrong_key = || {
        Request::post("/api/order")
            .header("api_key", "x")
            .body(Body::empty())
            .unwrap()
    };
    let list = || get("/api/product");
    let product = |id: &str| get(&format!("/api/product/{id}"));
    let cases = [
        ("listProducts", 200, &working, list()),
        ("listProducts", 500, &without_tables, list()),
        ("listProducts", 503, &without_database, list()),
        ("getProduct", 200, &working, product("1")),
        ("getProduct", 400, &working, product("waffle")),
        ("getProduct", 404, &working, product("11")),
        ("getProduct", 500, &without_tables, product("1")),
        ("getProduct", 503, &without_database, product("1")),
        ("placeOrder", 200, &working, order(example.clone())),
        ("placeOrder", 400, &working, order("waffles")),
        ("placeOrder", 401, &working, without_key()),
        ("placeOrder", 403, &working, wrong_key()),
        ("placeOrder", 413, &working, order(" ".repeat(70_000))),
        ("placeOrder", 422, &working, order("{}")),
        ("placeOrder", 500, &without_tables, order(example.clone())),
        ("placeOrder", 503, &without_database, order(example)),
        ("health", 200, &without_database, get("/health")),
        ("ready", 200, &working, get("/ready")),
        ("ready", 503, &without_tables, get("/ready")),
    ];

    let mut exercised = BTreeSet::new();
    for (operation, status, api, request) in cases {
        let answer = api.send(request).await;
        assert_eq!(answer.status, status, "{operation}: {answer:?}");
        contract.check(operation, &answer);
        exercised.insert((operation.to_owned(), status.to_string()));
    }
    let documented = contract.operations().flat_map(|(_, _, operation)| {
        let id = operation["operationId"].as_str().unwrap();
        let statuses = operation["responses"].as_object().unwrap().keys();
        statuses.map(|status| (id.to_owned(), status.clone()))
    });
    assert_eq!(documented.collect::<BTreeSet<_>>(), exercised);
}

/// The names are fixed: clients are generated from them.
#[test]
fn paths_and_names_are_those_of_the_challenge() {
    let contract = Contract::read();
    let operations: Vec<_> = contract
        .operations()
        .map(|(path, method, operation)| {
            let id = operation["operationId"].as_str().unwrap();
            format!("{method} {path} {id}")
        })
        .collect();
    for operation in [
        "get /product listProducts",
        "get /product/{productId} getProduct",
        "post /order placeOrder",
        "get /health health",
        "get /ready ready",
    ] {
        assert!(
            operations.iter().any(|known| known == operation),
            "{operation} in {operations:?}"
        );
    }
    assert_eq!(operations.len(), 5);
    assert_eq!(contract.0["servers"][0]["url"], "/api");
    assert_eq!(
        contract.0["components"]["securitySchemes"]["api_key"]["name"],
        "api_key"
    );
}
