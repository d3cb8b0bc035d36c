import PortcullisCore
import PortcullisTokens
import PortcullisWire

/// The claims of the access tokens of a family, by the names that the configured issuer gives them.
struct AccessClaims {
    private let names: ClaimNames
    private let issuer: String?
    private let audience: String?

    init(_ settings: Settings) {
        let own = settings.tokens.own
        names = own.claimNames
        issuer = own.issuer
        audience = own.audience
    }

    /// Those that each token gets anew, or that say whose it is: nobody gives them.
    private var reserved: [Identifier] {
        ["sub", "iat", "exp", "jti", "sid", names.user, names.session]
    }

    func check(_ claims: [(name: String, json: [UInt8])]) throws(StartupError) {
        for (name, _) in claims where reserved.contains(Identifier(name)) {
            throw StartupError("The claim \(name) is made anew for every access token: leave it out.")
        }
    }

    /// The claims that every token repeats, as one object: those that are given, what the gate asks of its own issuer, and when the
    /// user signed in.
    func repeated(
        _ claims: [(name: String, json: [UInt8])],
        authenticated: WallTime
    ) throws(StartupError) -> [UInt8] {
        var claims = claims
        func add(_ name: String, _ json: @autoclosure () -> [UInt8]) {
            guard !claims.contains(where: { $0.name == name }) else { return }
            claims.append((name, json()))
        }
        if let issuer { add("iss", TokenSigner.json(Identifier(issuer))) }
        if let audience { add("aud", TokenSigner.json(Identifier(audience))) }
        add("auth_time", TokenSigner.json(authenticated))
        let object = JSONBuilder.object { json in
            for (name, value) in claims { json.member(name, json: value) }
        }
        var json = StrictJSON()
        // A value such as `1,"sub":"x"` would make more claims than were given.
        guard (try? json.parse(object.span)) != nil, json.members().reduce(0, { count, _ in count + 1 }) == claims.count
        else { throw StartupError("A claim is no JSON value, or its name stands twice: strings need their quotes.") }
        if let node = json.member("auth_time", in: object.span), json.number(node, in: object.span) == nil {
            throw StartupError("The claim auth_time is a number of seconds.")
        }
        return object
    }

    /// The payload of one access token.
    func payload(of record: RefreshRecord, id: Identifier, now: WallTime) -> [UInt8] {
        var own: [(Identifier, [UInt8])] = [("sub", TokenSigner.json(record.user))]
        own.append(("iat", TokenSigner.json(now)))
        own.append(("exp", TokenSigner.json(now + record.accessLife)))
        own.append(("sid", TokenSigner.json(record.family)))
        // Where the issuer's names are others, they say the same. The session may even stand in `jti`: then that is the family.
        for (name, json) in [(names.user, own[0].1), (names.session, own[3].1), ("jti", TokenSigner.json(id))]
        where !own.contains(where: { $0.0 == name }) {
            own.append((name, json))
        }
        let repeated = record.claims.dropFirst().dropLast()
        var payload = JSONBuilder.object { json in
            for (name, value) in own { json.member(name.description, json: value) }
        }
        guard !repeated.isEmpty else { return payload }
        payload.removeLast()
        return payload + [UInt8(ascii: ",")] + repeated + [UInt8(ascii: "}")]
    }
}
