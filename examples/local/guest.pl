# Signs the guestbook every three seconds, and tells what the program can see from where it is.
use strict;
use warnings;
use IO::Socket::INET;

$| = 1;
$SIG{TERM} = sub { exit 0 };

sub names {
    opendir my $directory, $_[0] or return 'nothing';
    my @names = grep { !/^\./ } readdir $directory;
    return @names ? join(' ', sort @names) : 'nothing';
}

my $processes = grep { /^\d+$/ } split ' ', names('/proc');
printf "I am user %d; I see %d process, and in /home: %s\n", $>, $processes, names('/home');
while (1) {
    my $web = IO::Socket::INET->new(PeerAddr => $ENV{WEB}, Timeout => 2);
    if ($web) {
        my $text = 'a guest was here at ' . gmtime;
        printf $web "POST / HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s", length $text, $text;
        my ($count) = map { /^entries: (\d+)/ } <$web>;
        printf "signed; entries in the book: %s\n", $count // 'no answer';
    } else {
        print "nobody at $ENV{WEB}\n";
    }
    sleep 3;
}
