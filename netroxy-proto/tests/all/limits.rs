//! Memory and work are bounded, whatever a peer sends.

use netroxy_proto::{ClientMessage, ClientName, Decoder, Limits, ParseErrorKind, ServerMessage};

#[test]
fn a_line_may_be_as_long_as_the_limit_and_no_longer() {
    for line in [0, 1, 3, 24, 4096] {
        let limits = Limits { line: line.max(3) };
        let text = vec![b'x'; limits.line];
        let mut decoder = Decoder::<ClientMessage>::new(limits);
        decoder.push(&[b"ATH\n", &text[..], b"\n\n", &text, b"\n"].concat());
        assert!(matches!(
            decoder.next_message(),
            Ok(Some(ClientMessage::Ath(_)))
        ));
        decoder.push(&[b"ATH\n\n", &text[..]].concat());
        assert_eq!(decoder.next_message(), Ok(None));
        decoder.push(b"x");
        let error = decoder.next_message().unwrap_err();
        assert_eq!(error.line, 3);
        let limit = limits.line;
        assert_eq!(error.kind, ParseErrorKind::LineTooLong { limit });
    }
}

#[test]
fn the_default_limit_is_4096_bytes() {
    assert_eq!(Limits::default().line, 4096);
}

#[test]
fn the_error_names_the_line_that_is_too_long() {
    let text = vec![b'x'; 5000];
    for (before, number) in [
        (&b""[..], 1),
        (b"MAP\n", 2),
        (b"MAP\n1\n", 3),
        (b"SRQ\n", 1),
    ] {
        for after in [&b""[..], b"\n", b"\ntrue\n"] {
            let mut decoder = Decoder::<ClientMessage>::new(Limits::default());
            decoder.push(&[before, &text[..], after].concat());
            let error = loop {
                match decoder.next_message() {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("the decoder accepts the line"),
                    Err(error) => break error,
                }
            };
            assert_eq!((error.line, error.rule()), (number, "frame.line-limit"));
        }
    }
}

#[test]
fn an_endless_line_is_not_kept() {
    let mut decoder = Decoder::<ClientMessage>::new(Limits::default());
    let chunk = [b'x'; 1024];
    let mut error = None;
    for _ in 0..64 * 1024 {
        decoder.push(&chunk);
        if let Err(now) = decoder.next_message() {
            error = Some(now);
        }
        assert!(decoder.buffered() <= 4096 + chunk.len());
    }
    assert_eq!(error.unwrap().rule(), "frame.line-limit");
    assert_eq!(decoder.into_tail().capacity(), 0);
}

#[test]
fn the_buffer_stays_near_the_size_of_one_message() {
    let mut decoder = Decoder::<ClientMessage>::new(Limits::default());
    let text = [b'x'; 4096];
    let ath = [b"ATH\n", &text[..], b"\n", &text, b"\n", &text, b"\n"].concat();
    let mut count = 0;
    for piece in ath.repeat(64).chunks(1000) {
        decoder.push(piece);
        while decoder.next_message().unwrap().is_some() {
            count += 1;
        }
        assert!(decoder.buffered() < ath.len());
    }
    assert_eq!(count, 64);
    // A vector at most doubles.
    assert!(decoder.into_tail().capacity() <= 2 * (ath.len() + 1000));
}

/// Each loop would take hours if the work of a push or a message grew with the bytes before it.
#[test]
fn the_work_is_linear_in_the_input() {
    const SIZE: usize = 4 << 20;
    let mut decoder = Decoder::<ClientMessage>::new(Limits::default());
    let mut count = 0;
    for byte in b"SRQ\n".repeat(SIZE / 4) {
        decoder.push(&[byte]);
        count += usize::from(decoder.next_message().unwrap().is_some());
    }
    assert_eq!(count, SIZE / 4);

    let mut decoder = Decoder::<ServerMessage>::new(Limits::default());
    decoder.push(&b"SRS\n".repeat(SIZE / 4));
    let mut count = 0;
    while decoder.next_message().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, SIZE / 4);

    let mut decoder = Decoder::<ClientMessage>::new(Limits { line: SIZE });
    decoder.push(b"MAP\n1\n");
    for _ in 0..SIZE {
        decoder.push(b"x");
        assert_eq!(decoder.next_message(), Ok(None));
    }
    decoder.push(b"\ntrue\n");
    assert!(matches!(
        decoder.next_message(),
        Ok(Some(ClientMessage::Map(_)))
    ));
}

/// A peer chooses the texts that a log shows, and a field can have 4 KiB.
#[test]
fn a_long_text_is_cut_when_it_is_shown() {
    let shown = |length| {
        let name = ClientName::try_from("a".repeat(length).as_bytes());
        name.unwrap().to_string()
    };
    assert_eq!(shown(64), "a".repeat(64));
    let long = format!("{}... (4000 more bytes)", "a".repeat(64));
    assert_eq!(shown(4064), long);
}
