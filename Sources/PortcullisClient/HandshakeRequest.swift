internal import NIOHTTP1

/// The head of the request, of which every part has been checked.
struct HandshakeRequest: Sendable {
    /// What must be chosen of the subprotocols that are offered.
    let offer: [String]
    private let target: String
    private let headers: [(name: String, value: String)]

    init(url: GateURL, credential: GateCredential, options: GateConnection.Options) throws(GateFailure) {
        var headers = [("Host", url.authority)] + (try credential.headers(for: url))
        if let origin = options.origin {
            guard !origin.isEmpty, origin.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                throw .invalid("The origin is not valid.")
            }
            headers.removeAll { $0.0 == "Origin" }
            headers.append(("Origin", origin))
        }
        if case .firstMessage = credential, options.subprotocol != .v1 {
            throw .invalid("A token as the first message takes portcullis.v1.")
        }
        offer = options.subprotocol.offer(beside: credential)
        let offers = offer + credential.subprotocols
        if !offers.isEmpty { headers.append(("Sec-WebSocket-Protocol", offers.joined(separator: ", "))) }
        self.headers = headers
        var ticket: Secret?
        if case .ticket(let value) = credential { ticket = value }
        target = url.target(ticket: ticket)
    }

    func text(adding upgrade: HTTPHeaders) -> String {
        let lines = (headers + upgrade.map { ($0.name, $0.value) }).map { "\($0): \($1)\r\n" }
        return "GET \(target) HTTP/1.1\r\n\(lines.joined())\r\n"
    }
}
