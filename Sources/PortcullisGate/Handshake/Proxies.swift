import PortcullisCore
import PortcullisReactor
import PortcullisWire
import Synchronization

/// Whether proxies in front say who the client is before its first byte (`proxy.protocol`).
public enum ProxyProtocol: String, CaseIterable, Sendable {
    case none
    /// The header of the PROXY protocol, version 2, on every connection of a trusted peer.
    case v2
}

/// Who really connects: proxies that are trusted say it, by a header before all else or by one of the request. Whatever looks at the
/// source of a connection looks at what was found here.
extension GateLoop {
    // MARK: - Before the first byte

    /// A connection is accepted: from a trusted peer a header comes first, where it is to send one.
    func begin(_ stream: StreamID) {
        if configuration.proxyProtocol == .v2, configuration.forwarding.trusts(lives[Int(stream.slot)].address) {
            proxyHeaders[stream.slot] = []
            engine.limitReading(stream, to: ProxyHeader.fixedLength)
        } else {
            secure(stream)
        }
    }

    /// TLS begins here, where that is spoken: now it is known whom it would be paid for, unless the request is to say so.
    private func secure(_ stream: StreamID) {
        guard configuration.tls != nil, !turnAway(stream), !engine.beginSecuring(stream) else { return }
        shared.report(.acceptFailed("memory has run out"))
        engine.close(stream)
    }

    func proxyHeaderReceived(_ stream: StreamID, _ bytes: Span<UInt8>) {
        guard var header = proxyHeaders[stream.slot] else { return }
        header.append(bytes.indices, of: bytes)
        switch ProxyHeader.parse(header.span) {
        case .incomplete(let more):
            proxyHeaders[stream.slot] = header
            engine.limitReading(stream, to: more)
        case .proxied(let address):
            lives[Int(stream.slot)].address = address
            headerEnds(stream)
        case .local: headerEnds(stream)
        case .refused(let why): refuseProxy(stream, Refusal(.badRequest, why))
        }
    }

    private func headerEnds(_ stream: StreamID) {
        proxyHeaders[stream.slot] = nil
        engine.limitReading(stream, to: .max)
        secure(stream)
    }

    /// The proxy speaks another protocol, or none: nothing that is written would be understood.
    func refuseProxy(_ stream: StreamID, _ refusal: Refusal) {
        shared.report(.refused(report(stream, nil), refusal))
        proxyHeaders[stream.slot] = nil
        lives[Int(stream.slot)].phase = .closing
        engine.close(stream)
    }

    // MARK: - In the request

    /// Takes the client's address out of the request where its peer is trusted, before anything is counted or judged by it.
    /// - Returns: whether the client's connection is secured, as far as is known.
    func believeProxies(_ slot: UInt32, _ bytes: Span<UInt8>) -> Bool {
        let isSecured = configuration.tls != nil
        guard configuration.forwarding.trusts(lives[Int(slot)].address) else {
            warnOfStranger(slot)
            return isSecured
        }
        switch configuration.forwarding.client(head, bytes) {
        case .peer: break
        case .forwarded(let address): lives[Int(slot)].address = address
        case .unreadable:
            let before = shared.unreadableForwards.add(1, ordering: .relaxed).oldValue
            if before == 0, let address = lives[Int(slot)].address { shared.report(.forwardUnreadable(address)) }
        }
        return Forwarding.isSecure(head, bytes) ?? isSecured
    }

    /// Behind a proxy that is not trusted everybody has one address. A client may send the header too; it is said once either way.
    private func warnOfStranger(_ slot: UInt32) {
        guard head.count(.forwardedFor) > 0, !shared.hasWarnedOfForwarding.load(ordering: .relaxed) else { return }
        guard !shared.hasWarnedOfForwarding.exchange(true, ordering: .relaxed) else { return }
        shared.report(.forwardNotTrusted(lives[Int(slot)].address))
    }
}
