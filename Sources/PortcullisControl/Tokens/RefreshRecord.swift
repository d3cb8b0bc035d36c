import PortcullisCore
import PortcullisWire

/// What a refresh token stands for (`refresh:<hash>`). It holds no secret: the token itself is nowhere.
struct RefreshRecord: Equatable {
    /// How many times it was rotated before.
    var generation: Int64
    let user: Identifier
    /// The `sid` of all its access tokens.
    let family: Identifier
    /// When it was granted, by Redis' clock: decisions against its user are held against this.
    let created: WallTime
    /// When its last refresh token ends.
    let ends: WallTime
    /// How long each access token lives.
    let accessLife: Milliseconds
    /// The claims that every access token repeats, as one JSON object.
    let claims: [UInt8]

    func encode() -> [UInt8] {
        JSONBuilder.object { json in
            json.member("user", user)
            json.member("family", family)
            json.member("created_ms", created.milliseconds)
            json.member("ends_ms", ends.milliseconds)
            json.member("access_ms", accessLife.count)
            json.member("generation", generation)
            json.member("claims", json: claims)
        }
    }

    /// nil where the text is none: somebody else wrote it.
    init?(_ text: [UInt8]) {
        var json = StrictJSON()
        guard (try? json.parse(text.span)) != nil else { return nil }
        func identifier(_ name: StaticString) -> Identifier? {
            json.member(name, in: text.span).flatMap { json.string($0, in: text.span) }
                .flatMap { $0.isWellFormed ? $0 : nil }
        }
        func number(_ name: StaticString) -> Int64? {
            json.member(name, in: text.span).flatMap { json.integer($0, in: text.span) }
        }
        guard let user = identifier("user"), let family = identifier("family"), let created = number("created_ms"),
            let ends = number("ends_ms"), let life = number("access_ms"), life > 0,
            let generation = number("generation"), let claims = json.member("claims", in: text.span),
            json.kind(of: claims) == .object
        else { return nil }
        self.init(
            generation: generation,
            user: user,
            family: family,
            created: WallTime(milliseconds: created),
            ends: WallTime(milliseconds: ends),
            accessLife: Milliseconds(life),
            claims: json.json(claims, in: text.span)
        )
    }

    init(
        generation: Int64 = 0,
        user: Identifier,
        family: Identifier,
        created: WallTime,
        ends: WallTime,
        accessLife: Milliseconds,
        claims: [UInt8]
    ) {
        self.generation = generation
        self.user = user
        self.family = family
        self.created = created
        self.ends = ends
        self.accessLife = accessLife
        self.claims = claims
    }

    /// The record of the token that takes this one's place.
    var next: RefreshRecord {
        var next = self
        next.generation = generation.addingClamped(1)
        return next
    }
}
