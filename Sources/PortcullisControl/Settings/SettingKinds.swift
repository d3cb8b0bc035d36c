extension SettingKind where Value == String {
    /// Any text that is not empty.
    static func text(_ expected: String = "a text") -> SettingKind {
        .matching(expected) { _ in true }
    }

    /// The path of a file or folder.
    static var file: SettingKind { .text("the path of a file") }

    /// A text that passes a test.
    static func matching(_ expected: String, _ fits: @escaping @Sendable (String) -> Bool) -> SettingKind {
        .single(
            expected,
            parse: { text throws(Mismatch) in
                guard !text.isEmpty, text.utf8.count <= 4096, !text.unicodeScalars.contains(where: { $0.value < 0x20 }),
                    fits(text)
                else { throw Mismatch(text: "\(quoted(text)) does not fit: write \(expected)") }
                return text
            },
            show: { $0 }
        )
    }
}

extension SettingKind where Value == Secret {
    /// A secret that is written out.
    static var secret: SettingKind {
        SettingKind(
            form: .one,
            expected: "a secret text",
            isSecret: true,
            parse: { raw throws(Mismatch) in
                guard case .one(let text) = raw, !text.isEmpty else {
                    throw Mismatch(text: "it is empty: write a secret text")
                }
                return Secret(text)
            },
            show: { .one($0.shown) }
        )
    }

    /// The address of Redis; its password is not shown, not even where the address is wrong.
    static var redisAddress: SettingKind {
        let schemes = ["redis://", "rediss://", "unix://", "redis+sentinel://", "rediss+sentinel://"]
        let expected =
            "redis://[user:password@]host:port/db, rediss://…, unix:///path or redis+sentinel://host:port,…/name"
        return .single(
            expected,
            parse: { text throws(Mismatch) in
                guard let scheme = schemes.first(where: text.hasPrefix), text.utf8.count > scheme.utf8.count,
                    !text.unicodeScalars.contains(where: { $0.value <= 0x20 || $0.value == 0x7F })
                else { throw Mismatch(text: "this is no address of a Redis server: write \(expected)") }
                return Secret(address: text)
            },
            show: { $0.shown }
        )
    }
}

extension SettingKind where Value == KeySetPlace {
    /// A file or a URL; a password in it is not shown, not even where the URL is wrong.
    static var keySet: SettingKind {
        let expected = "the path of a file or an http(s) URL"
        return .single(
            expected,
            parse: { text throws(Mismatch) in
                guard !text.isEmpty, text.utf8.count <= 4096, !text.unicodeScalars.contains(where: { $0.value < 0x20 }),
                    let place = KeySetPlace(text)
                else { throw Mismatch(text: "this is no place of a key set: write \(expected)") }
                return place
            },
            show: { $0.description }
        )
    }
}

extension SettingKind where Value == ListenAddress {
    static var address: SettingKind {
        let expected = "host:port, [v6]:port or unix:/path"
        return .single(
            expected,
            parse: { text throws(Mismatch) in
                if text.hasPrefix("unix:/"), text.utf8.count > ListenAddress.longestSocketPath + "unix:".utf8.count {
                    throw Mismatch(
                        text:
                            "the path of a socket may have \(ListenAddress.longestSocketPath) bytes: choose a shorter one"
                    )
                }
                guard let address = ListenAddress(text) else {
                    throw Mismatch(text: "\(quoted(text)) is no address: write \(expected)")
                }
                return address
            },
            show: { $0.description }
        )
    }
}

extension SettingKind where Value == Bool {
    static var flag: SettingKind {
        .single(
            "true or false",
            parse: { text throws(Mismatch) in
                switch text.lowercased() {
                case "true", "yes", "on", "1": return true
                case "false", "no", "off", "0": return false
                default: throw Mismatch(text: "\(quoted(text)) is neither: write true or false")
                }
            },
            show: { $0 ? "true" : "false" }
        )
    }
}

extension SettingKind where Value == Int {
    /// A whole number.
    static func number(_ range: ClosedRange<Int>) -> SettingKind {
        .ranged("a whole number", range, read: { text in Int(text) }, show: { "\($0)" })
    }

    /// A number of bytes.
    static func size(_ range: ClosedRange<Int>) -> SettingKind {
        .ranged("a size", range, read: { text in Units.size(text) }, show: { Units.text(size: $0) })
    }
}

extension SettingKind where Value == Duration {
    /// A duration; what is written is not zero unless the range begins there.
    static func duration(_ range: ClosedRange<Duration> = .milliseconds(1)...Units.longestDuration) -> SettingKind {
        .ranged("a duration", range, read: { text in Units.duration(text) }, show: { Units.text($0) })
    }
}

extension SettingKind where Value: Comparable {
    fileprivate static func ranged(
        _ what: String,
        _ range: ClosedRange<Value>,
        read: @escaping @Sendable (String) -> Value?,
        show: @escaping @Sendable (Value) -> String
    ) -> SettingKind {
        let expected = "\(what) from \(show(range.lowerBound)) to \(show(range.upperBound))"
        return .single(
            expected,
            parse: { text throws(Mismatch) in
                guard let value = read(text) else {
                    throw Mismatch(text: "\(quoted(text)) is not \(what): write \(expected)")
                }
                guard range.contains(value) else {
                    throw Mismatch(text: "\(quoted(text)) is out of bounds: write \(expected)")
                }
                return value
            },
            show: show
        )
    }
}

extension SettingKind where Value: RawRepresentable<String> & CaseIterable {
    /// One of a few words.
    static var word: SettingKind {
        let words = Value.allCases.map(\.rawValue)
        let expected = words.count == 1 ? words[0] : "one of \(words.joined(separator: ", "))"
        return .single(
            expected,
            parse: { text throws(Mismatch) in
                guard let value = Value(rawValue: text) else {
                    throw Mismatch(text: "\(quoted(text)) is not known: write \(expected)")
                }
                return value
            },
            show: { $0.rawValue }
        )
    }
}

extension SettingKind where Value == [ResourceSettings.StepUp] {
    /// A map of resource patterns to durations; as one text `pattern=duration`, the last `=` counting.
    static var stepUp: SettingKind {
        SettingKind(
            form: .map,
            expected: "a map of resource patterns to durations, such as \"billing:*\": 15m",
            parse: { raw throws(Mismatch) in
                guard case .many(let texts) = raw else {
                    throw Mismatch(text: "a single value stands where a map belongs")
                }
                var all: [ResourceSettings.StepUp] = []
                for text in texts where texts != ["none"] {
                    guard let equals = text.lastIndex(of: "="), equals != text.startIndex,
                        let within = Units.duration(String(text[text.index(after: equals)...])), within > .zero
                    else {
                        throw Mismatch(
                            text: "\(quoted(text)) does not fit: write a pattern and a duration, such as 15m"
                        )
                    }
                    all.append(ResourceSettings.StepUp(pattern: String(text[..<equals]), within: within))
                }
                return all
            },
            show: { .pairs($0.map { ShownPair(key: $0.pattern, value: Units.text($0.within)) }) }
        )
    }
}
