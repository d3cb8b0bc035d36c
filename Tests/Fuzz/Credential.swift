import PortcullisCore
import PortcullisWire

/// The bytes are a request head and what came behind it.
///
/// What a part of the head says, all of it says; and what a head or parser was used for before changes nothing.
@_cdecl("LLVMFuzzerTestOneInput") public func fuzzCredential(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let bytes = input(data, size)
    let whole = head.parse(bytes.span, limits: limits)
    var fresh = RequestHead()
    precondition(fresh.parse(bytes.span, limits: limits) == whole)
    for part in [bytes.count / 3, bytes.count - min(bytes.count, 1)] {
        let progress = fresh.parse(bytes.span.extracting(first: part), limits: limits)
        precondition(progress == .incomplete || progress == whole, "a part says what the whole does not")
    }
    _ = head.parse(bytes.span, limits: limits)
    guard case .complete(let length) = whole else { return 0 }
    precondition(length <= bytes.count && length <= limits.bytes)
    let ending = bytes.span.extracting(length - 4..<length)
    precondition(ending[0] == 13 && ending[1] == 10 && ending[2] == 13 && ending[3] == 10)
    guard let request = try? UpgradeRequest(head, bytes.span) else { return 0 }
    // Nothing behind the head has a part in it.
    let alone = Array(bytes[..<length])
    precondition(fresh.parse(alone.span, limits: limits) == whole)
    precondition((try? UpgradeRequest(fresh, alone.span)) == request)
    for source in sources {
        let found = result(source, request, bytes)
        precondition(found == result(source, request, alone))
        guard case .success(let credential) = found else { continue }
        switch credential {
        case .token(let token, _): precondition(!token.isEmpty && token.count <= source.longestToken)
        case .ticket(let id), .session(let id), .signedSession(let id, _): precondition(id.isWellFormed)
        case nil: precondition(request.offersVersion1)
        }
    }
    precondition(request.resource?.isWellFormed ?? true)
    let chosen = Subprotocol.choose(head, bytes.span)
    var answer: [UInt8] = []
    let accept = [UInt8](repeating: 7, count: 20)
    HandshakeResponse.appendUpgrade(accept: accept.span, subprotocol: chosen, bytes.span, to: &answer)
    precondition(answer.count { $0 == 10 } == (chosen.echoed == nil ? 5 : 6), "a header is injected")
    for policy in policies { _ = policy.verdict(on: request, bytes.span, secure: bytes.count % 2 == 0) }
    return 0
}

private enum Found: Equatable {
    case success(Credential?)
    case failure(Refusal)
}

extension Credential {
    fileprivate var parts: [UInt8] {
        switch self {
        case .token(let token, _): token
        case .ticket(let id), .session(let id), .signedSession(let id, _): id.bytes
        }
    }
}

private func == (left: Found, right: Found) -> Bool {
    switch (left, right) {
    case (.success(let left), .success(let right)): left?.parts == right?.parts && left?.kind == right?.kind
    case (.failure(let left), .failure(let right)): left == right
    default: false
    }
}

private func result(_ source: CredentialSource, _ request: UpgradeRequest, _ bytes: [UInt8]) -> Found {
    do throws(Refusal) {
        return .success(try source.credential(of: request, head, bytes.span))
    } catch {
        return .failure(error)
    }
}

private let limits = HeadLimits(bytes: 2048, lines: 24)

private let sources = [
    CredentialSource(),
    CredentialSource(
        tokens: [.header, .subprotocol, .cookie, .query, .firstMessage],
        tokenCookie: Array("jwt".utf8),
        signsSessions: true,
        longestToken: 64
    ),
]

private let policies =
    [OriginPolicy.sameOrigin] + [OriginPolicy(["https://*.app.test", "http://a.test:81"])].compactMap(\.self)

// libFuzzer calls from one thread.
private nonisolated(unsafe) var head = RequestHead()
