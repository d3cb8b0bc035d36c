import PortcullisCore
import PortcullisReactor

/// What a loop holds of its connections, counted: when all have gone nothing of them may be left. Tests ask for it by the mailbox.
extension GateLoop {
    /// How many entries each table has, by name.
    var census: [String: Int] {
        var census = [
            "connections": connectionCount,
            "streams": engine.clientCount,
            "slots in use": lives.count { $0.phase != .vacant },
            "handshakes": lives.count { $0.pending != nil },
            "registry": registry.count,
            "registry keys": registry.keyCount,
            "deadlines": wheel.count,
            "rooms": rooms.count,
            "memberships": rooms.membershipCount,
            "room links": roomLinks.count,
            "changed permissions": book.count,
            "joining": joining.count,
            "no second factor": unverified.count,
            "bound clients": boundClients.count,
            "refreshes": refreshes.count,
            "demands": demands.count,
            "said at the thaw": held.count,
            "unread": unread.count,
            "unread in line": unreadOrder.count,
            "to be verified": verifications.count,
            "paced": pacing.entries.count,
            "PROXY headers": proxyHeaders.count,
            "relayed": relayed.count,
            "walks": walks.count + asks.count + massCloses.count,
            "expelled": expelled.count,
        ]
        if let uplink {
            census["rooms heard"] = uplink.rooms.interest.count
            census["places"] = uplink.placeChanges.count
            census["receipts"] = uplink.receipts.count
            census["sessions to read"] = uplink.sessionsToRead.count + uplink.sessionsFailing.count
        }
        return census
    }
}
