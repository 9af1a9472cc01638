use super::*;
use crate::compose::problem::code;

/// What is drawn of a text with the problem of `wrong`, and of `first` where that is not empty.
fn drawn(text: &str, wrong: &str, first: &str, columns: usize) -> String {
    let mut sources = Sources::default();
    let file = sources.add("compose.yaml".into(), text.into());
    let at = |word: &str| {
        let start = u32::try_from(text.find(word).unwrap()).unwrap();
        At { file, start, end: start + u32::try_from(word.len()).unwrap() }
    };
    let mut problem = Problem::error(code::UNKNOWN_KEY, at(wrong), "there is no such key").on("services.web.x");
    if !first.is_empty() {
        problem = problem.and(at(first));
    }
    Pen::new(false, columns).problem(&problem.help("did you mean 'image'?"), &sources)
}

#[test]
fn a_problem_has_code_place_excerpt_and_help() {
    assert_eq!(
        drawn("services:\n  web:\n    imagee: x\n", "imagee", "", 140),
        "\
error[C0301]: there is no such key
 --> compose.yaml:3:5
  |
3 |     imagee: x
  |     ^^^^^^ services.web.x
  |
  = help: did you mean 'image'?"
    );
}

#[test]
fn the_second_place_is_drawn_too_near_or_far() {
    assert_eq!(
        drawn("a: 1\nb: 2\nc: 3\nd: 4\n", "c", "a", 140),
        "\
error[C0301]: there is no such key
 --> compose.yaml:3:1
  |
1 | a: 1
  | - and here
2 | b: 2
3 | c: 3
  | ^ services.web.x
  |
  = help: did you mean 'image'?"
    );
    let far = format!("first: 1\n{}last: 2\n", "# nothing\n".repeat(10_000));
    assert_eq!(
        drawn(&far, "last", "first", 140),
        "\
error[C0301]: there is no such key
     --> compose.yaml:10002:1
      |
10002 | last: 2
      | ^^^^ services.web.x
      |
     ::: compose.yaml:1:1
      |
    1 | first: 1
      | ----- and here
      |
      = help: did you mean 'image'?"
    );
}

#[test]
fn carets_stand_under_the_word_behind_tabs_and_wide_characters() {
    for (text, line, carets) in [
        ("\tx: wrong\n", "1 |     x: wrong", "  |        ^^^^^"),
        ("ключ: wrong\n", "1 | ключ: wrong", "  |       ^^^^^"),
        ("鍵: wrong\n", "1 | 鍵: wrong", "  |     ^^^^^"),
        ("a: \u{9b}31m wrong\n", "1 | a: ·31m wrong", "  |         ^^^^^"),
    ] {
        let drawing = drawn(text, "wrong", "", 140);
        let lines: Vec<&str> = drawing.lines().collect();
        assert_eq!((lines[3], lines[4]), (line, &*format!("{carets} services.web.x")), "{drawing}");
    }
}

#[test]
fn long_lines_are_trimmed_around_the_word_and_endless_ones_left_out() {
    let text = format!("a: [{}wrong, {}]\n", "x, ".repeat(1000), "y, ".repeat(1000));
    let drawing = drawn(&text, "wrong", "", 80);
    assert!(drawing.lines().all(|line| line.chars().count() <= 90), "{drawing}");
    assert!(drawing.contains("x, wrong, y") && drawing.contains("compose.yaml:1:3005"), "{drawing}");
    let text = format!("a: [{}wrong]\n", "x, ".repeat(1_000_000));
    assert_eq!(
        drawn(&text, "wrong", "", 80),
        "\
error[C0301]: there is no such key
--> compose.yaml:1:3000005
 = note: at services.web.x
 = help: did you mean 'image'?"
    );
}

#[test]
fn lines_of_env_files_are_never_shown() {
    let mut sources = Sources::default();
    let compose = sources.add("compose.yaml".into(), "env_file: x.env\n".into());
    let file = sources.add_data("x.env".into(), "A=1\nPASSWORD='s3cret\n".into());
    let problem = Problem::error(code::ENV_FILE, At { file, start: 4, end: 4 }, "the quotes are never closed");
    let problem = problem.on("env_file").and(At { file: compose, start: 10, end: 15 });
    assert_eq!(
        Pen::new(false, 140).problem(&problem, &sources),
        "\
error[C0204]: the quotes are never closed
 --> x.env:2:1
  |
 ::: compose.yaml:1:11
  |
1 | env_file: x.env
  |           ----- and here
  |
  = note: at env_file"
    );
}

#[test]
fn what_no_file_says_has_no_place_and_colours_are_asked_for() {
    let problem = Problem::warning(code::NO_FILE, At::NOWHERE, "no\u{1b}[31m file").help("name one");
    let sources = Sources::default();
    assert_eq!(
        Pen::new(false, 140).problem(&problem, &sources),
        "warning[C0112]: no\\u{1b}[31m file\n |\n = help: name one"
    );
    assert!(Pen::new(true, 140).problem(&problem, &sources).contains("\u{1b}["));
}
