# The guestbook for browsers: GET / shows it, POST / (or GET /sign?TEXT) signs it.
use strict;
use warnings;
use IO::Socket::INET;

$| = 1;
$SIG{TERM} = sub { exit 0 };
$SIG{PIPE} = 'IGNORE';

my $server = IO::Socket::INET->new(LocalPort => 8080, Listen => 64, ReuseAddr => 1)
    or die "cannot listen: $@\n";

sub book {
    my ($request) = @_;
    my $book = IO::Socket::INET->new(PeerAddr => $ENV{BOOK}, Timeout => 2)
        or die "cannot reach $ENV{BOOK}: $@\n";
    print $book "$request\n";
    return <$book>;
}

sub answer {
    my ($method, $target, $body) = @_;
    return (200, "well\n") if $target eq '/health';
    my $text = $method eq 'POST' ? $body : $target =~ m{^/sign\?(.+)} ? $1 : undef;
    return (404, "there is only / here\n") unless defined $text || $target eq '/';
    $text =~ tr/+\r\n/   / if defined $text;
    my @lines = defined $text ? book("add " . substr $text, 0, 200) : book('list');
    return (200, join '', sprintf("entries: %d\n", scalar @lines), map { "  $_" } @lines);
}

while (1) {
    my $client = $server->accept or next;
    eval {
        local $SIG{ALRM} = sub { die "slow\n" };
        alarm 5;
        my ($method, $target) = (<$client> // '') =~ m{^(\S+) (\S+)} or die "slow\n";
        my $length = 0;
        while (defined(my $header = <$client>)) {
            last if $header =~ /^\r?\n$/;
            $length = $1 if $header =~ /^content-length: *(\d{1,4})\s*$/i;
        }
        read $client, (my $body = ''), $length;
        my ($code, $text) = eval { answer($method, $target, $body) };
        ($code, $text) = (502, $@) if $@;
        print "$method $target $code\n" unless $target eq '/health';
        printf $client "HTTP/1.0 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s",
            $code, $code == 200 ? 'OK' : 'Trouble', length $text, $text;
        alarm 0;
    };
    alarm 0;
    close $client;
}
